/**
 * The devtools as a React component. React takes a class with `isReactComponent` for one of its own, so nothing of React is
 * imported: whoever has no React can import this entry too.
 */
import { type DevtoolsOptions, mountDevtools } from "./mount.js";

/** Options of the component; a change of `client` or `container` mounts it anew. */
export type RealtimeDevtoolsProps = DevtoolsOptions;

class Devtools {
  readonly props: RealtimeDevtoolsProps;
  #end: (() => void) | undefined;

  constructor(props: RealtimeDevtoolsProps) {
    this.props = props;
  }

  componentDidMount(): void {
    this.#end = mountDevtools(this.props);
  }

  componentDidUpdate(before: RealtimeDevtoolsProps): void {
    const { client, container, theme } = this.props;
    if (before.client === client && before.container === container && before.theme === theme) return;
    this.componentWillUnmount();
    this.componentDidMount();
  }

  componentWillUnmount(): void {
    this.#end?.();
    this.#end = undefined;
  }

  render(): null {
    return null;
  }
}

Object.assign(Devtools.prototype, { isReactComponent: {} });

/** Shows the devtools while it is mounted; renders nothing on a server. */
export const RealtimeDevtools = Devtools as unknown as (props: RealtimeDevtoolsProps) => null;
