/** How the console looks: plain, readable at any width, in light and dark. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fff; --text: #1b1f24; --faint: #57606a; --line: #d0d7de; --soft: #f2f4f7;
  --link: #0a58b8; --bad: #b3141d; --good: #11632b; --bar: #6f9fd8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14181d; --text: #e6e9ed; --faint: #a3adb8; --line: #3a434d; --soft: #1f252c;
    --link: #7db7ff; --bad: #ff8f8f; --good: #7bdc97; --bar: #3f6fa8;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif }
a { color: var(--link) }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
h1:focus, main:focus { outline: none }
.skip { position: absolute; left: -999px }
.skip:focus { left: 8px; top: 8px; background: var(--ground); padding: 6px; z-index: 1 }
header { display: flex; gap: 1rem; justify-content: space-between; align-items: start; padding: .5rem 1rem;
  border-bottom: 1px solid var(--line); background: var(--soft) }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem .9rem; list-style: none; margin: 0; padding: .3rem 0 }
nav a[aria-current] { color: var(--text); font-weight: 650; text-decoration: none }
main { padding: 0 1rem 3rem; max-width: 90rem }
h1 { font-size: 1.4rem; margin: 1rem 0 .5rem }
h2 { font-size: 1.05rem; margin: 1.2rem 0 .4rem }
.scroll { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--line); border-radius: 6px }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; font-weight: 650; padding: .4rem .6rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-top: 1px solid var(--line);
  white-space: nowrap }
th { color: var(--faint); font-weight: 550 }
td, dd, code, svg text { font-family: ui-monospace, monospace; font-size: 13px }
td { unicode-bidi: plaintext }
dl { margin: 1rem 0 }
dl div { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: .2rem 0 }
dt { min-width: 11rem; color: var(--faint) }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0 }
.bad { color: var(--bad); font-weight: 600 }
.good { color: var(--good) }
.empty { color: var(--faint) }
.faults { color: var(--bad) }
.state { font-weight: 600 }
.filters { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: end }
.field { margin: .4rem 0 }
.field label { display: block; color: var(--faint); font-size: 13px }
input, select, textarea, button { font: inherit; color: var(--text); background: var(--ground);
  border: 1px solid var(--faint); border-radius: 4px; padding: .25rem .5rem; max-width: 100% }
textarea { width: 100%; font-family: ui-monospace, monospace; font-size: 13px }
button { cursor: pointer; background: var(--soft) }
::placeholder { color: var(--faint); opacity: 1 }
figure { margin: 0 }
figcaption { color: var(--faint) }
.mesh .line { fill: none; stroke: var(--faint); stroke-width: 1.4 }
.mesh .line.open { stroke: var(--good); stroke-width: 2.4 }
.mesh .line.refused { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 6 4 }
.mesh rect { fill: var(--soft); stroke: var(--line) }
.mesh .host rect { fill: var(--ground); stroke-dasharray: 3 3 }
.mesh text { fill: var(--text) }
.bar .whole { fill: var(--soft) }
.bar rect { fill: var(--bar) }
.bar .running { fill: var(--good) }
.bar .refused, .bar .cut { fill: var(--bad) }
.depth { color: var(--faint) }
meter { width: 8rem }
@media (max-width: 30rem) { header, main { padding-left: .6rem; padding-right: .6rem } dt { min-width: 100% } }
`
