// anthropic-sdk-typescript: node anthropic.js BASE TOKEN HOW, where HOW says by
// which header the token goes; prints what it has got as JSON

const Anthropic = require('@anthropic-ai/sdk');

const [base, token, how] = process.argv.slice(2);
const client = new Anthropic({
    baseURL: base,
    apiKey: how === 'x-api-key' ? token : null,
    authToken: how === 'x-api-key' ? null : token,
    maxRetries: 0,
});

const model = 'gpt-oss:20b';
const messages = [{ role: 'user', content: 'Hello' }];

async function main() {
    const models = [];

    for await (const m of client.models.list()) {
        models.push(m.id);
    }

    const message = await client.messages.create({
        model, messages, max_tokens: 64,
    });

    const stream = client.messages.stream({ model, messages, max_tokens: 64 });

    let streamed = '';

    stream.on('text', (text) => {
        streamed += text;
    });

    const last = await stream.finalMessage();
    const counted = await client.messages.countTokens({ model, messages });

    let error;

    try {
        await client.messages.create({
            model: 'no-such-model', messages, max_tokens: 64,
        });
    } catch (e) {
        error = { status: e.status, name: e.constructor.name };
    }

    return {
        models,
        text: message.content[0].text,
        tokens: message.usage.output_tokens,
        streamed,
        stop: last.stop_reason,
        stream_tokens: last.usage.output_tokens,
        counted: counted.input_tokens,
        error,
    };
}

main().then((result) => console.log(JSON.stringify(result)), (e) => {
    console.error(e);
    process.exit(1);
});
