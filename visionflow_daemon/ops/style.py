"""How the status page looks, and the script that keeps it fresh; both are allowed by their hashes alone."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

STYLE = """
:root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d1f21;--soft:#62676d;--line:#e3e4e2;--track:#e8e9e7;
--ok:#1a7f4b;--run:#1f6feb;--bad:#c0392b;--warn:#9a6700;--okbg:#e6f4ec;--runbg:#e7f0fd;--badbg:#fcebe9;--warnbg:#fbf2dc}
@media(prefers-color-scheme:dark){:root{--bg:#131516;--card:#1b1e20;--ink:#e6e7e8;--soft:#9aa1a8;--line:#2c3033;
--track:#2c3033;--ok:#4cc38a;--run:#6ea8fe;--bad:#f4877b;--warn:#e3b341;--okbg:#12291e;--runbg:#14243d;--badbg:#371917;
--warnbg:#2f2610}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1.5rem 1rem 3rem;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;gap:.2rem 1rem;align-items:baseline;margin:0 0 1.25rem}
h1{font-size:1.35rem;font-weight:650;margin:0;letter-spacing:-.01em}
h2{font-size:1.1rem;font-weight:650;margin:0;overflow-wrap:anywhere}
h3{font-size:.8rem;font-weight:600;color:var(--soft);margin:1.5rem 0 .4rem}
p{margin:0}
.soft{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.15rem 1.25rem 1.25rem;
margin:0 0 1.25rem}
.top{display:flex;flex-wrap:wrap;gap:.35rem .75rem;align-items:center}
.where{color:var(--soft);font-size:.87rem;overflow-wrap:anywhere;margin:.15rem 0 0}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.badge{font-size:.8rem;font-weight:600;padding:.1rem .6rem;border-radius:99px;white-space:nowrap}
.ok{color:var(--ok);background:var(--okbg)}.run{color:var(--run);background:var(--runbg)}
.bad{color:var(--bad);background:var(--badbg)}.warn{color:var(--warn);background:var(--warnbg)}
.note{border-radius:8px;padding:.55rem .8rem;margin:.9rem 0 0;overflow-wrap:anywhere}
.note b{font-weight:650}
.live{margin:1rem 0 0}
.live p{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem}
progress{appearance:none;display:block;width:100%;height:10px;border:0;border-radius:99px;overflow:hidden;
background:var(--track);margin:.35rem 0}
progress::-webkit-progress-bar{background:var(--track)}
progress::-webkit-progress-value{background:var(--run)}
progress::-moz-progress-bar{background:var(--run)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(6.6rem,1fr));gap:.9rem .8rem;margin:1.1rem 0 0}
dt{font-size:.8rem;color:var(--soft)}
dd{margin:0;font-size:1.08rem;font-weight:600;letter-spacing:-.01em;white-space:nowrap}
dd.bad,dd.warn{background:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th{font-weight:500;color:var(--soft);text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);
white-space:nowrap}
td{padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
.n{text-align:right;white-space:nowrap}.w{white-space:nowrap}.any{overflow-wrap:anywhere}
td.ok,td.bad,td.warn,td.run{background:none}
svg{display:block;width:100%;height:6rem}
.key{color:var(--soft);font-size:.8rem;margin:.3rem 0 .9rem}
.fill-ok{fill:var(--ok)}.fill-bad{fill:var(--bad)}.fill-warn{fill:var(--warn)}.fill-run{fill:var(--run)}
.fill-time{fill:var(--soft);opacity:.55}.axis{stroke:var(--line)}
footer{color:var(--soft);font-size:.87rem}
a{color:inherit}
#lost{display:none}
.lost #lost{display:block}.lost main{opacity:.5}
@media(max-width:36rem){body{padding:1rem .6rem 2rem}section{padding:.95rem .9rem 1rem}
.cards thead{display:none}.cards tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--line)}
.cards tr:last-child{border:0}.cards td{display:inline;border:0;padding:0 .6rem 0 0}
.cards td.own{display:block}.hide{display:none}}
"""

SCRIPT = """
(function(){
function again(){setTimeout(look,document.hidden?15000:2000)}
function look(){
fetch(location.pathname,{cache:"no-store"}).then(function(r){if(!r.ok)throw 0;return r.text()}).then(function(t){
var d=new DOMParser().parseFromString(t,"text/html"),s=[].map.call(document.querySelectorAll(".scroll"),function(e){
return e.scrollLeft});
document.querySelector("main").replaceWith(d.querySelector("main"));document.title=d.title;
document.querySelector("link").href=d.querySelector("link").href;
document.querySelectorAll(".scroll").forEach(function(e,i){e.scrollLeft=s[i]||0});
document.body.classList.remove("lost")}).catch(function(){document.body.classList.add("lost")}).then(again)}
again()})();
"""

DOTS = {"ok": "2e9e63", "run": "2f7bf0", "bad": "d4493b"}


def icon(colour: str) -> str:
    """Give the address of a dot in a state's colour, so that a tab in the background shows it."""
    return (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
        f"%3Ccircle cx='4' cy='4' r='3.5' fill='%23{DOTS[colour]}'/%3E%3C/svg%3E"
    )


def _allowed(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_allowed(STYLE)}; script-src {_allowed(SCRIPT)}; connect-src 'self'; "
    "img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but this style and this script is taken from the page, whatever a title may smuggle into it."""
