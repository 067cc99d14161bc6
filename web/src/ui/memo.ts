import { Component, type FunctionComponent, h } from 'preact';

/** Draws again only when `same` says that the props differ. (preact/compat has this, with much else.) */
export function memo<P extends object>(view: FunctionComponent<P>, same: (before: P, after: P) => boolean): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      return !same(this.props, next);
    }
    override render() {
      return h(view, this.props);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
