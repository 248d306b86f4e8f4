"""What may be said to a page that takes it for markup: by a model, by an upstream, by any name it is told."""

import json

# What a model may write. Each way in sets a flag of its own.
VENOM = """<script>window.bitten = 1</script><img src=x onerror="window.bitten = 2">
<svg onload="window.bitten = 3"></svg><style>body { display: none }</style>

A [link](javascript:window.bitten=4), a ![pic](javascript:alert(1)), [data](data:text/html,x), and one that is
[good](https://example.com/?a=1). An <a href="javascript:window.bitten=6" onclick="window.bitten=5">a</a> and an
<iframe srcdoc="<script>parent.bitten = 5</script>"></iframe> in a line. [Upper](JaVaScRiPt:window.bitten=10),
[spelt](java&#115;cript:window.bitten=11), <javascript:window.bitten=12>, [script]: javascript:window.bitten=13
and [referred][script].

# <img src=x onerror=window.bitten=14>

- [ ] <svg/onload=window.bitten=15>
> <details open ontoggle=window.bitten=16>

| a | b |
|---|---|
| <b onmouseover="window.bitten=7">c</b> | `<code>` |

```html
<script>window.bitten = 8</script>
```

```<img/src=x/onerror=window.bitten=17>
code
```
"""

# Nested deeper than is drawn, and deeper than can be parsed.
DEEP = {"deep": ">" * 300 + " bottom", "deeper": ">" * 20_000 + " bottom\n\n" + "- " * 5000 + "x"}

# In what the gateway says, a word that names may have; names themselves may have no markup.
WORD = "poison"
NAME = "<img src=x onerror=window.bitten=20>"

# Before each page: what the gateway says has markup wherever the word stood, and what the page says back has
# the word again, so that it is understood.
POISON = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (it) => violations.push(it.violatedDirective));
{
    const [word, name] = %s;
    const fetched = window.fetch;
    const poisoned = () => {
        let rest = '';
        const give = (text, out) => out.enqueue(text.replaceAll(word, name));
        return new TransformStream({
            transform(text, out) {
                const lines = (rest + text).split('\\n');
                rest = lines.pop();
                for (const line of lines) give(line + '\\n', out);
            },
            flush: (out) => give(rest, out),
        });
    };
    window.fetch = async (path, { body, ...options } = {}) => {
        const response = await fetched(path, { ...options, body: body?.replaceAll(name, word) });
        const told = response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(poisoned());
        return new Response(told?.pipeThrough(new TextEncoderStream()), response);
    };
}
""" % json.dumps([WORD, NAME])
