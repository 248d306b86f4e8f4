// What a model says, as elements. Its text is never parsed as HTML: marked finds the structure, and each
// piece becomes a text node in one of the few elements below. What is no known structure stays text.
import { Component } from 'preact';
import { lexer } from 'marked';
import { Copy } from './copy.jsx';

/** What is nested deeper is shown as it was written. */
const DEEPEST = 50;
const SCHEMES = ['http:', 'https:', 'mailto:'];
const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };
const plain = (text) => text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]);

function safeAddress(text) {
  try {
    const url = new URL(text);
    return SCHEMES.includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function Link({ address, children }) {
  const href = safeAddress(address);
  if (!href) return <>{children}</>;
  return <a href={href} target="_blank" rel="noopener noreferrer nofollow">{children}</a>;
}

const all = (tokens, depth) => tokens?.map((token, index) => <Piece key={index} token={token} depth={depth + 1} />);

function List({ token, depth }) {
  const items = token.items.map((item, index) => (
    <li key={index}>
      {item.task && <input type="checkbox" checked={item.checked} disabled aria-label={item.checked ? 'done' : 'to do'} />}
      {all(item.tokens, depth)}
    </li>
  ));
  return token.ordered ? <ol start={token.start || 1}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ token, depth }) {
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label="table">
      <table>
        <thead><tr>{token.header.map((cell, index) => <th key={index}>{all(cell.tokens, depth)}</th>)}</tr></thead>
        <tbody>
          {token.rows.map((row, index) => (
            <tr key={index}>{row.map((cell, place) => <td key={place}>{all(cell.tokens, depth)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Code({ token }) {
  return (
    <div class="code">
      <div class="code-head"><span>{token.lang || 'text'}</span><Copy text={() => token.text} label="Copy" /></div>
      <pre tabIndex={0}><code>{token.text}</code></pre>
    </div>
  );
}

function Piece({ token, depth }) {
  if (depth > DEEPEST) return <>{token.raw}</>;
  switch (token.type) {
    case 'space': return null;
    // The list has it.
    case 'checkbox': return null;
    case 'heading': {
      // The page's own headings come first.
      const Level = `h${Math.min(token.depth + 2, 6)}`;
      return <Level>{all(token.tokens, depth)}</Level>;
    }
    case 'paragraph': return <p>{all(token.tokens, depth)}</p>;
    case 'blockquote': return <blockquote>{all(token.tokens, depth)}</blockquote>;
    case 'list': return <List token={token} depth={depth} />;
    case 'table': return <Table token={token} depth={depth} />;
    case 'code': return <Code token={token} />;
    case 'hr': return <hr />;
    case 'br': return <br />;
    case 'strong': return <strong>{all(token.tokens, depth)}</strong>;
    case 'em': return <em>{all(token.tokens, depth)}</em>;
    case 'del': return <del>{all(token.tokens, depth)}</del>;
    case 'codespan': return <code>{token.text}</code>;
    case 'link': return <Link address={token.href}>{all(token.tokens, depth)}</Link>;
    // Nothing is fetched from elsewhere: a picture is a link to it.
    case 'image': return <Link address={token.href}>{token.text || token.href}</Link>;
    case 'text': return token.tokens ? <>{all(token.tokens, depth)}</> : <>{plain(token.text)}</>;
    default: return <>{token.text ?? token.raw}</>;
  }
}

/** A block is drawn anew only if its text has changed: of a long answer that grows, the last one. */
class Block extends Component {
  shouldComponentUpdate({ token }) {
    return token.raw !== this.props.token.raw;
  }

  render({ token }) {
    return <Piece token={token} depth={0} />;
  }
}

/** The blocks of a text; null if it is nested deeper than can be parsed. */
function blocksOf(text) {
  try {
    return lexer(text);
  } catch {
    return null;
  }
}

export function Markdown({ text }) {
  const blocks = blocksOf(text);
  if (!blocks) return <div class="markdown"><p class="plain">{text}</p></div>;
  return <div class="markdown">{blocks.map((token, index) => <Block key={index} token={token} />)}</div>;
}
