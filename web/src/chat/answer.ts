/** An answer while it comes: its text, and what its Markdown says. */

import { signal } from '@preact/signals';
import { MarkdownStream } from '../lib/markdown/stream.ts';
import type { Block } from '../lib/markdown/tree.ts';

export class Answer {
  #text = '';
  #markdown = new MarkdownStream();
  readonly #changes = signal(0);

  /** The text so far. */
  get value(): string {
    void this.#changes.value;
    return this.#text;
  }

  /** The blocks so far, in groups that stay the same but for the last one. */
  get groups(): readonly (readonly Block[])[] {
    void this.#changes.value;
    return this.#markdown.groups;
  }

  append(text: string): void {
    this.#text += text;
    this.#markdown.append(text);
    this.#changes.value = this.#changes.peek() + 1;
  }

  /** Takes the whole text. Most often it is what has come in pieces, and nothing is read again. */
  replace(text: string): void {
    if (text === this.#text) return;
    this.#text = '';
    this.#markdown = new MarkdownStream();
    this.append(text);
  }
}
