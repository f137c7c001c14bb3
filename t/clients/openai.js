// openai-node: node openai.js BASE TOKEN, prints what it has got as JSON

const OpenAI = require('openai');

const [base, token] = process.argv.slice(2);
const client = new OpenAI({
    baseURL: `${base}/v1`, apiKey: token, maxRetries: 0,
});

const model = 'gpt-oss:20b';
const messages = [{ role: 'user', content: 'Hello' }];

async function stream(options) {
    const request = { model, messages, stream: true, ...options };

    let text = '';
    let chunks = 0;
    let usage = null;
    let empty = 0;

    for await (const chunk of await client.chat.completions.create(request)) {
        text += chunk.choices[0]?.delta?.content ?? '';
        chunks += 1;
        empty += chunk.choices.length === 0;
        usage = chunk.usage ?? usage;
    }

    return { text, chunks, usage, empty };
}

async function main() {
    const models = [];

    for await (const m of client.models.list()) {
        models.push(m.id);
    }

    const one = await client.models.retrieve(model);
    const chat = await client.chat.completions.create({ model, messages });
    const completion = await client.completions.create({ model, prompt: 'Hello' });
    const response = await client.responses.create({ model, input: 'Hello' });

    const events = [];

    for await (const event of await client.responses.create({
        model, input: 'Hello', stream: true,
    })) {
        events.push(event.type);
    }

    let error;

    try {
        await client.chat.completions.create({ model: 'no-such-model', messages });
    } catch (e) {
        error = { status: e.status, name: e.constructor.name, type: e.type };
    }

    return {
        models,
        one: one.id,
        chat: chat.choices[0].message.content,
        tokens: chat.usage.completion_tokens,
        completion: completion.choices[0].text,
        response: response.output_text,
        events,
        plain: await stream({}),
        with_usage: await stream({ stream_options: { include_usage: true } }),
        error,
    };
}

main().then((result) => console.log(JSON.stringify(result)), (e) => {
    console.error(e);
    process.exit(1);
});
