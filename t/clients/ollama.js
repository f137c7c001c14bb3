// ollama-js: node ollama.js BASE TOKEN, prints what it has got as JSON

const { Ollama } = require('ollama');

const [base, token] = process.argv.slice(2);
const client = new Ollama({
    host: base,
    headers: { Authorization: `Bearer ${token}` },
});

const model = 'gpt-oss:20b-cloud';
const messages = [{ role: 'user', content: 'Hello' }];

async function main() {
    const models = (await client.list()).models.map((m) => m.name);
    const shown = await client.show({ model });
    const running = await client.ps();
    const chat = await client.chat({ model, messages });
    const generate = await client.generate({ model, prompt: 'Hello' });

    let streamed = '';
    let chunks = 0;
    let last;

    for await (const part of await client.chat({ model, messages, stream: true })) {
        streamed += part.message.content;
        chunks += 1;
        last = part;
    }

    let error;

    try {
        await client.chat({ model: 'no-such-model', messages });
    } catch (e) {
        error = { status: e.status_code, text: e.message };
    }

    let aborted;

    try {
        const parts = await client.chat({
            model, messages, stream: true, _sim: { words: 100, delay_ms: 20 },
        });

        for await (const part of parts) {
            if (part.message.content) {
                parts.abort();
            }
        }
    } catch (e) {
        aborted = e.name;
    }

    return {
        models,
        capabilities: shown.capabilities,
        running: running.models,
        chat: chat.message.content,
        tokens: chat.eval_count,
        generate: generate.response,
        streamed,
        chunks,
        done: last.done,
        stream_tokens: last.eval_count,
        error,
        aborted,
    };
}

main().then((result) => console.log(JSON.stringify(result)), (e) => {
    console.error(e);
    process.exit(1);
});
