"""How the status page looks, and the script that keeps it fresh; both are allowed by their hashes alone."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

STYLE = """
:root{color-scheme:light dark;--bg:#f6f6f4;--card:#fff;--ink:#1d1f21;--soft:#5f656b;--line:#e3e4e2;--track:#e8e9e7;
--ok:#17713f;--run:#1f62d0;--bad:#b93425;--warn:#8a5a00;--okbg:#e6f4ec;--runbg:#e7f0fd;--badbg:#fcebe9;--warnbg:#fbf2dc;
--okbar:#4f9d74;--runbar:#4f86e0;--badbar:#d0503f;--warnbar:#b98319;--time:#a9adb1}
@media(prefers-color-scheme:dark){:root{--bg:#131516;--card:#1b1e20;--ink:#e6e7e8;--soft:#a0a7ae;--line:#2c3033;
--track:#2c3033;--ok:#4cc38a;--run:#7fb0fe;--bad:#f4877b;--warn:#e3b341;--okbg:#12291e;--runbg:#14243d;--badbg:#331a18;
--warnbg:#2b2412;--okbar:#3b8f66;--runbar:#4a7fd6;--badbar:#d2604f;--warnbar:#b28426;--time:#5d646a}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:66rem;padding:1.5rem 1rem 3rem;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;gap:.2rem 1rem;align-items:baseline;margin:0 0 1.25rem}
h1{font-size:1.35rem;font-weight:650;margin:0;letter-spacing:-.01em}
h2{font-size:1.15rem;font-weight:650;margin:0;letter-spacing:-.005em;min-width:0}
h3{font-size:.8rem;font-weight:600;color:var(--soft);margin:1.5rem 0 .4rem}
p{margin:0}
.soft{color:var(--soft)}.small{font-size:.92em}.narrow{display:none}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.15rem 1.25rem 1.25rem;
margin:0 0 1.25rem}
section:target{border-color:var(--run)}
nav:not([hidden]){display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:.6rem;margin:0 0 1.25rem}
.tile{display:flex;flex-direction:column;min-width:0;padding:.55rem .85rem .6rem;border:1px solid var(--line);
border-radius:10px;background:var(--card);text-decoration:none;font-size:.87rem}
.tile:hover{border-color:var(--soft)}
.tile b{font-weight:600;font-size:.95rem;overflow:hidden;white-space:nowrap;text-overflow:ellipsis}
.dot{background:none!important;font-weight:600;margin-right:.35rem}
.dot:before{content:"";display:inline-block;width:.6em;height:.6em;border-radius:50%;background:currentColor;
margin-right:.4em}
.top{display:flex;flex-wrap:wrap;gap:.35rem .75rem;align-items:center}
.where{color:var(--soft);font-size:.87rem;margin:.15rem 0 0}
code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.badge{font-size:.8rem;font-weight:600;padding:.1rem .6rem;border-radius:99px;white-space:nowrap}
.ok{color:var(--ok);background:var(--okbg)}.run{color:var(--run);background:var(--runbg)}
.bad{color:var(--bad);background:var(--badbg)}.warn{color:var(--warn);background:var(--warnbg)}
.note{border-left:3px solid;border-radius:0 8px 8px 0;padding:.5rem .8rem;margin:.8rem 0 0}
.note{color:var(--ink)}.note b{font-weight:650}
.note.bad{border-color:var(--bad)}.note.bad b{color:var(--bad)}
.note.warn{border-color:var(--warn)}.note.warn b{color:var(--warn)}
.live{margin:1rem 0 0}
.live p{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem}
.live p span{min-width:0}
progress{appearance:none;display:block;width:100%;height:10px;border:0;border-radius:99px;overflow:hidden;
background:var(--track);margin:.35rem 0}
progress::-webkit-progress-bar{background:var(--track)}
progress::-webkit-progress-value{background:var(--run)}
progress::-moz-progress-bar{background:var(--run)}
progress:not([value])::-moz-progress-bar{background:none}
@media(prefers-reduced-motion:no-preference){progress::-webkit-progress-value{transition:width 1.5s linear}
progress:not([value]){animation:wait 2.4s ease-in-out infinite}@keyframes wait{50%{opacity:.45}}}
dl{display:grid;grid-template-columns:9.8rem 9rem 8.4rem repeat(auto-fit,minmax(5.2rem,1fr));gap:.9rem .8rem;
margin:1.1rem 0 0}
dt{font-size:.8rem;color:var(--soft)}
dd{margin:0;font-size:1.05rem;font-weight:600;letter-spacing:-.01em;line-height:1.35;white-space:nowrap}
dd.bad,dd.warn{background:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem}
th{font-weight:500;color:var(--soft);text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);
white-space:nowrap}
td{padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:break-word}
th:last-child,td:last-child{padding-right:0}
tr:last-child td{border-bottom:0}
.n{text-align:right;white-space:nowrap}.w{white-space:nowrap}
.any{overflow-wrap:anywhere}.cards .own{min-width:9rem}.cards .next{min-width:9rem}
td.ok,td.bad,td.warn,td.run{background:none}
svg{display:block;width:100%;height:6rem}
.hit{fill:transparent}g:hover .hit{fill:var(--track)}
.ends,.key{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1.2rem;color:var(--soft);font-size:.8rem}
.ends{margin:.15rem 0 0}.ends span:only-child{margin-left:auto}.key{margin:.25rem 0 0}
.swatch{display:inline-block;background:none!important;color:var(--soft);margin-right:.9rem}
.swatch:before{content:"";display:inline-block;width:.65em;height:.65em;margin-right:.4em;border-radius:2px}
.swatch.ok:before{background:var(--okbar)}.swatch.run:before{background:var(--runbar)}
.swatch.bad:before{background:var(--badbar)}.swatch.warn:before{background:var(--warnbar)}
.fill-ok{fill:var(--okbar)}.fill-bad{fill:var(--badbar)}.fill-warn{fill:var(--warnbar)}.fill-run{fill:var(--runbar)}
.fill-time{fill:var(--time)}.axis{stroke:var(--line)}
details{margin:.9rem 0 0}
summary{cursor:pointer;color:var(--soft);font-size:.87rem;width:fit-content}
summary:hover{color:var(--ink)}
details[open] summary{margin-bottom:.3rem}
footer{color:var(--soft);font-size:.87rem}
a{color:inherit}
:focus-visible{outline:2px solid var(--run);outline-offset:2px;border-radius:4px}
#lost{display:none;position:sticky;top:.5rem;z-index:1;margin:0 0 1rem}
.lost #lost{display:block}.lost main{opacity:.55}
@media(max-width:36rem){body{padding:1rem .6rem 2rem}section{padding:.95rem .9rem 1rem}
dl{grid-template-columns:repeat(6,1fr);gap:.8rem .5rem}dd{white-space:normal}
dl div{grid-column:span 2}dl div:nth-child(-n+2){grid-column:span 3}
nav:not([hidden]){grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:.5rem}
.narrow{display:inline}.hide{display:none}
.cards,.cards tbody{display:block}.cards thead{display:none}
.cards tr{display:block;padding:.5rem 0;border-bottom:1px solid var(--line)}
.cards tr:last-child{border:0}.cards td{display:inline;border:0;padding:0 .6rem 0 0}.cards td:empty{display:none}
.cards td.own,.cards td.next{display:block}.cards .next br{display:none}.cards .next .small:before{content:"· "}}
"""

SCRIPT = """
(function(){
var looks=null,timer=0,asking=false;
function patch(old,now){
if(old.nodeName!==now.nodeName||old.id!==now.id){old.replaceWith(now);return}
if(old.nodeType!==1){if(old.data!==now.data)old.data=now.data;return}
[].slice.call(now.attributes).forEach(function(a){
if(a.name!=="open"&&old.getAttribute(a.name)!==a.value)old.setAttribute(a.name,a.value)});
[].slice.call(old.attributes).forEach(function(a){
if(a.name!=="open"&&!now.hasAttribute(a.name))old.removeAttribute(a.name)});
var is=[].slice.call(old.childNodes),be=[].slice.call(now.childNodes);
be.forEach(function(each,i){if(i<is.length)patch(is[i],each);else old.appendChild(each)});
is.slice(be.length).forEach(function(each){each.remove()})}
function look(){
if(asking)return;
asking=true;clearTimeout(timer);
var stop=new AbortController(),bell=setTimeout(function(){stop.abort()},8000);
fetch(location.pathname,{cache:"no-store",signal:stop.signal}).then(function(r){if(!r.ok)throw 0;return r.text()})
.then(function(text){
var page=new DOMParser().parseFromString(text,"text/html"),main=page.querySelector("main");
if(!main)throw 0;
var their=page.querySelector("style").textContent+page.querySelector("script").textContent;
if(looks!==null&&looks!==their){location.reload();return}
looks=their;patch(document.querySelector("main"),main);
if(document.title!==page.title)document.title=page.title;
patch(document.querySelector("link"),page.querySelector("link"));
document.body.classList.remove("lost")})
.catch(function(){document.body.classList.add("lost")})
.then(function(){clearTimeout(bell);asking=false;timer=setTimeout(look,document.hidden?15000:2000)})}
document.addEventListener("visibilitychange",function(){if(!document.hidden)look()});
timer=setTimeout(look,2000)})();
"""
"""Asks again and again, and makes the page like the answer in place: what is selected, focused, unfolded or scrolled
stays so. A page of another version is loaded as a whole."""

DOTS = {"ok": "2e9e63", "run": "2f7bf0", "warn": "d69a1c", "bad": "d4493b"}


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
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but this style and this script is taken from the page, whatever a title may smuggle into it."""
