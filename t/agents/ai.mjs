// Vercel's AI SDK with its provider for servers that speak OpenAI's API.

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText } from 'ai';

const [base, token] = process.argv.slice(2);
const provider = createOpenAICompatible({ name: 'local', apiKey: token,
                                          baseURL: base + '/v1',
                                          includeUsage: true });
const model = (name) => provider(name);
const got = {};

const one = await generateText({ model: model('ai-chat'), prompt: 'Hello' });

got.text = one.text;
got.tokens = one.usage.outputTokens;

const many = streamText({ model: model('ai-stream'), prompt: 'Hello' });

got.streamed = '';

for await (const part of many.textStream) {
    got.streamed += part;
}

got.stream_tokens = (await many.usage).outputTokens;

try {
    await generateText({ model: model('no-such-model'), prompt: 'Hello',
                         maxRetries: 0 });
} catch (error) {
    got.error = error.statusCode;
}

const cut = streamText({ model: model('ai-cut'), prompt: 'Hello', maxRetries: 0,
                         onError() {} });

try {
    for await (const part of cut.fullStream) {
        if (part.type === 'error') {
            got.cut = String(part.error?.message ?? part.error);
        }
    }
} catch (error) {
    got.cut ??= error.message;
}

console.log(JSON.stringify(got));
