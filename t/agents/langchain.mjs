// LangChain with its package for Ollama.

import { ChatOllama } from '@langchain/ollama';

const [base, token] = process.argv.slice(2);
const chat = (model) => new ChatOllama({ model, baseUrl: base, maxRetries: 0,
    headers: { Authorization: 'Bearer ' + token } });
const got = {};

const one = await chat('lc-chat').invoke('Hello');

got.text = one.content;
got.tokens = one.usage_metadata.output_tokens;

got.streamed = '';

for await (const part of await chat('lc-stream').stream('Hello')) {
    got.streamed += part.content;
    got.stream_tokens = part.usage_metadata?.output_tokens
                        ?? got.stream_tokens;
}

try {
    await chat('no-such-model').invoke('Hello');
} catch (error) {
    got.error = error.status_code;
}

try {
    for await (const part of await chat('lc-cut').stream('Hello')) {
        got.before = part.content;
    }
} catch (error) {
    got.cut = error.message;
}

console.log(JSON.stringify(got));
