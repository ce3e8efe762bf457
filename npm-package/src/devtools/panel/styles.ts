/** How the panel looks: its own colours, in light and dark, inside of a shadow root that no page's style reaches. */

export const STYLES = `
:host { all: initial; }
* { box-sizing: border-box; }
.root { --bg: #ffffff; --text: #1c2128; --dim: #57606a; --line: #d0d7de; --soft: #f6f8fa; --accent: #0550ae; --good: #116329; --bad: #a40e26; --warn: #7d4e00;
  position: fixed; inset: auto 0 0 0; z-index: 2147483000; font: 12px/1.45 ui-sans-serif, system-ui, sans-serif; color: var(--text); pointer-events: none; }
.root[data-inside] { position: static; height: 100%; }
@media (prefers-color-scheme: dark) { .root { --bg: #0d1117; --text: #e6edf3; --dim: #9ea7b3; --line: #30363d; --soft: #161b22; --accent: #79b8ff; --good: #56d364; --bad: #ff9492; --warn: #e3b341; } }
.root[data-theme=dark] { --bg: #0d1117; --text: #e6edf3; --dim: #9ea7b3; --line: #30363d; --soft: #161b22; --accent: #79b8ff; --good: #56d364; --bad: #ff9492; --warn: #e3b341; }
.root[data-theme=light] { --bg: #ffffff; --text: #1c2128; --dim: #57606a; --line: #d0d7de; --soft: #f6f8fa; --accent: #0550ae; --good: #116329; --bad: #a40e26; --warn: #7d4e00; }
button, input, select { font: inherit; color: inherit; background: var(--bg); border: 1px solid var(--line); border-radius: 6px; padding: 3px 8px; }
button { cursor: pointer; }
button:hover { background: var(--soft); }
button[aria-pressed=true], button[aria-selected=true] { border-color: var(--accent); color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.badge { pointer-events: auto; position: absolute; right: 12px; bottom: 12px; display: flex; gap: 6px; align-items: center; box-shadow: 0 1px 4px rgb(0 0 0 / .25); }
[data-inside] .badge { position: static; }
.dot { width: 8px; height: 8px; border-radius: 50%; background: var(--dim); }
.dot[data-status=connected] { background: var(--good); }
.dot[data-status=connecting], .dot[data-status=reconnecting] { background: var(--warn); }
.dot[data-status=closed] { background: var(--bad); }
.panel { pointer-events: auto; display: flex; flex-direction: column; height: min(46vh, 420px); background: var(--bg); border-top: 1px solid var(--line); box-shadow: 0 -2px 12px rgb(0 0 0 / .15); }
[data-inside] .panel { height: 100%; border: 1px solid var(--line); border-radius: 8px; box-shadow: none; overflow: hidden; }
.head, .tools { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; padding: 6px 10px; border-bottom: 1px solid var(--line); }
.head strong { font-weight: 600; }
.space { flex: 1; }
.dim { color: var(--dim); }
.tools input[type=search] { flex: 1 1 160px; min-width: 0; }
.tools label { display: inline-flex; gap: 4px; align-items: center; }
.body { flex: 1; overflow: auto; min-height: 0; }
table { width: 100%; border-collapse: collapse; }
th { position: sticky; top: 0; background: var(--soft); text-align: left; font-weight: 600; }
th, td { padding: 2px 8px; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
td.what { width: 100%; max-width: 0; overflow: hidden; text-overflow: ellipsis; font-family: ui-monospace, monospace; font-size: 11px; color: var(--dim); }
td.num, th.num { text-align: right; font-variant-numeric: tabular-nums; }
td button.type { border: 0; padding: 0; background: none; color: var(--accent); text-align: left; }
tr[data-direction=client] td button.type { color: var(--warn); }
tr[data-type=error] td button.type { color: var(--bad); }
pre { margin: 0; padding: 8px 10px; background: var(--soft); font: 11px/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.empty { padding: 24px; text-align: center; color: var(--dim); }
.alert { padding: 4px 10px; color: var(--bad); border-bottom: 1px solid var(--line); }
svg { display: block; }
svg rect { fill: var(--accent); }
@media (max-width: 640px) { .wide { display: none; } .panel { height: 60vh; } }
`;
