// all three clients, with streams that break off: node cut.js BASE TOKEN CUTS,
// where CUTS is a JSON list of { path, model }; prints, as JSON, for each way to
// read a stream and each of its cuts what it came to: "whole", or "error: ..."

const { Ollama } = require('ollama');
const OpenAI = require('openai');
const Anthropic = require('@anthropic-ai/sdk');

const [base, token, cuts] = process.argv.slice(2);

const ollama = new Ollama({
    host: base,
    headers: { Authorization: `Bearer ${token}` },
});
const openai = new OpenAI({
    baseURL: `${base}/v1`, apiKey: token, maxRetries: 0, logLevel: 'off',
});
const anthropic = new Anthropic({
    baseURL: base, authToken: token, apiKey: null, maxRetries: 0,
    logLevel: 'off',
});

const messages = [{ role: 'user', content: 'Hello' }];

async function read(stream) {
    for await (const part of await stream) {
        if (part.type === 'response.failed') {
            throw new Error(part.response.error.message);
        }
    }
}

const readers = {
    '/api/chat': {
        chat: (model) => read(ollama.chat({ model, messages, stream: true })),
    },
    '/v1/chat/completions': {
        create: (model) => read(openai.chat.completions.create({
            model, messages, stream: true,
        })),
        usage: (model) => read(openai.chat.completions.create({
            model, messages, stream: true,
            stream_options: { include_usage: true },
        })),
        stream: (model) => openai.chat.completions.stream({
            model, messages,
        }).finalChatCompletion(),
    },
    '/v1/completions': {
        create: (model) => read(openai.completions.create({
            model, prompt: 'Hello', stream: true,
        })),
    },
    '/v1/responses': {
        create: (model) => read(openai.responses.create({
            model, input: 'Hello', stream: true,
        })),
        stream: async (model) => {
            const response = await openai.responses.stream({
                model, input: 'Hello',
            }).finalResponse();

            if (response.status !== 'completed') {
                throw new Error(`it is ${response.status}`);
            }
        },
    },
    '/v1/messages': {
        create: (model) => read(anthropic.messages.create({
            model, messages, max_tokens: 64, stream: true,
        })),
        stream: (model) => anthropic.messages.stream({
            model, messages, max_tokens: 64,
        }).finalMessage(),
    },
};

async function main() {
    const results = [];

    for (const { path, model } of JSON.parse(cuts)) {
        for (const [how, reader] of Object.entries(readers[path])) {
            let result = 'whole';

            try {
                await reader(model);
            } catch (e) {
                result = `error: ${e.constructor.name} ${e.message}`;
            }

            results.push({ path, model, how, result });
        }
    }

    return { results };
}

main().then((result) => console.log(JSON.stringify(result)), (e) => {
    console.error(e);
    process.exit(1);
});
