/** A WebSocket without a network: greets as recorded, then delivers the texts it is given. */

/** A constructor to inject; `opened` gets each socket that the client makes. */
export function FakeSocket(greeting, opened) {
  return class extends EventTarget {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSING = 2;
    static CLOSED = 3;
    readyState = 0;
    protocol = "osbackend.v1";
    extensions = "";
    binaryType = "blob";
    bufferedAmount = 0;
    #handlers = new Map();

    constructor(url) {
      super();
      this.url = String(url);
      opened(this);
      queueMicrotask(() => {
        this.readyState = 1;
        this.dispatchEvent(new Event("open"));
      });
    }

    send(text) {
      if (JSON.parse(text).type === "connect") queueMicrotask(() => this.deliver(JSON.stringify(greeting)));
    }

    close(code = 1000, reason = "") {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean: true }));
    }

    deliver(text) {
      this.dispatchEvent(new MessageEvent("message", { data: text }));
    }

    #handler(type, handler) {
      const before = this.#handlers.get(type);
      if (before) this.removeEventListener(type, before);
      this.#handlers.set(type, handler);
      if (handler) this.addEventListener(type, handler);
    }

    set onopen(handler) {
      this.#handler("open", handler);
    }
    set onmessage(handler) {
      this.#handler("message", handler);
    }
    set onclose(handler) {
      this.#handler("close", handler);
    }
    set onerror(handler) {
      this.#handler("error", handler);
    }
  };
}
