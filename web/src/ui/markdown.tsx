/** Draws parsed Markdown with elements and text nodes. What an agent writes is untrusted and never becomes markup. */

import type { ComponentChildren } from 'preact';
import { parseInline } from '../lib/markdown/lexer.ts';
import type { Block, Inline } from '../lib/markdown/tree.ts';
import { memo } from './memo.ts';

/** Blocks in groups, as a text that grows has them: only what has become another object is drawn again. */
export function Markdown({ groups }: { groups: readonly (readonly Block[])[] }) {
  return (
    <div class="prose">
      {groups.map((blocks, index) => (
        <Group key={index} blocks={blocks} />
      ))}
    </div>
  );
}

/** One line: marks inside it, no blocks. */
export function MarkdownLine({ source }: { source: string }) {
  return <>{inlines(parseInline(source))}</>;
}

const Group = memo(
  ({ blocks }: { blocks: readonly Block[] }) => (
    <>
      {blocks.map((block, index) => (
        <TopBlock key={index} block={block} />
      ))}
    </>
  ),
  (before, after) => before.blocks === after.blocks,
);

const TopBlock = memo(
  ({ block }: { block: Block }) => <BlockView block={block} />,
  (before, after) => before.block === after.block,
);

function BlockView({ block }: { block: Block }) {
  switch (block.kind) {
    case 'paragraph':
      return <p>{inlines(block.children)}</p>;
    case 'heading': {
      // The page has its own h1 and h2; an answer's headings stand below them.
      const Tag = block.level <= 1 ? 'h3' : block.level === 2 ? 'h4' : 'h5';
      return <Tag>{inlines(block.children)}</Tag>;
    }
    case 'code':
      return (
        <pre class={block.continued === true ? 'continued' : undefined} tabIndex={0} aria-label={block.language === '' ? 'Code' : `Code: ${block.language}`}>
          <code>{block.text}</code>
        </pre>
      );
    case 'quote':
      return <blockquote>{blockViews(block.children)}</blockquote>;
    case 'list': {
      const items = block.items.map((item, index) => <li key={index}>{tight(item)}</li>);
      return block.ordered ? <ol start={block.start}>{items}</ol> : <ul>{items}</ul>;
    }
    case 'table':
      return (
        <div class="table" tabIndex={0} role="region" aria-label="Table">
          <table>
            <thead>
              <tr>
                {block.head.map((cell, index) => (
                  <th key={index} scope="col">
                    {inlines(cell)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {block.rows.map((row, index) => (
                <tr key={index}>
                  {row.map((cell, column) => (
                    <td key={column}>{inlines(cell)}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    case 'rule':
      return <hr />;
    default:
      return block satisfies never;
  }
}

function blockViews(blocks: readonly Block[]): ComponentChildren {
  return blocks.map((block, index) => <BlockView key={index} block={block} />);
}

/** A list item's first paragraph needs no paragraph around it. */
function tight(blocks: readonly Block[]): ComponentChildren {
  const [first, ...rest] = blocks;
  if (first?.kind !== 'paragraph') return blockViews(blocks);
  return [...inlines(first.children), blockViews(rest)];
}

function inlines(nodes: readonly Inline[]): ComponentChildren[] {
  return nodes.map((node, index) => {
    switch (node.kind) {
      case 'text':
        return node.text;
      case 'code':
        return <code key={index}>{node.text}</code>;
      case 'strong':
        return <strong key={index}>{inlines(node.children)}</strong>;
      case 'em':
        return <em key={index}>{inlines(node.children)}</em>;
      case 'strike':
        return <del key={index}>{inlines(node.children)}</del>;
      case 'break':
        return <br key={index} />;
      case 'link':
        return (
          <a key={index} href={node.href} target="_blank" rel="noopener noreferrer nofollow">
            {inlines(node.children)}
          </a>
        );
      default:
        return node satisfies never;
    }
  });
}
