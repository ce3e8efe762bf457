/** A WebSocket that never opens: it fails a moment after it was made, as one does over a line that is cut. */

/** Abnormal closure: the connection ended without a close frame (RFC 6455, 7.1.5). */
const ABNORMAL = 1006;

/** As much of a WebSocket as the SDK touches before one is open. */
export class DeadSocket extends EventTarget {
  readonly url: string;
  readonly protocol = "";
  readonly bufferedAmount = 0;
  readyState: number = WebSocket.CONNECTING;
  binaryType: BinaryType = "blob";
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;

  constructor(url: string | URL) {
    super();
    this.url = String(url);
    setTimeout(() => this.#fail());
  }

  /** Nothing is sent: it is never open. */
  send(): void {}

  close(): void {
    this.readyState = WebSocket.CLOSING;
  }

  #fail(): void {
    this.readyState = WebSocket.CLOSED;
    const error = new Event("error");
    const close = new CloseEvent("close", { code: ABNORMAL, wasClean: false });
    this.onerror?.(error);
    this.dispatchEvent(error);
    this.onclose?.(close);
    this.dispatchEvent(close);
  }
}
