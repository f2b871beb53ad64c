"""The style sheet of report pages: light and dark, on a phone, on a desk and on paper."""

from __future__ import annotations

from tercel.adapters.report.palette import DARK, LIGHT, variables

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
header,main,footer,nav{max-width:1060px;margin:0 auto;padding:0 20px}
header{padding-top:36px}
h1{font-size:28px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:19px;margin:0 0 4px;letter-spacing:-.005em}
h3{font-size:14px;margin:0 0 6px;color:var(--muted);font-weight:600}
p{margin:0 0 10px}
a{color:var(--net)}
.meta,.note,footer,figcaption{color:var(--muted)}
.note{font-size:14px;max-width:76ch}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:16px 0 0;padding:10px 0;
border-top:1px solid var(--line);border-bottom:1px solid var(--line);font-size:14px}
nav a{text-decoration:none}
section{margin:38px 0 0;scroll-margin-top:12px}
.verdict{background:var(--panel);border-left:4px solid var(--tone);border-radius:6px;
padding:18px 22px;margin-top:24px}
.verdict h2{font-size:23px;line-height:1.25;margin-bottom:8px}
.verdict p{max-width:80ch;margin:0}
.warnings{border:1px solid var(--gross);border-radius:6px;padding:12px 20px;margin-top:16px}
.warnings ul{margin:4px 0 0;padding-left:20px}
.warnings h2{font-size:15px;color:var(--gross)}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin-top:16px}
.tile{background:var(--panel);border-radius:6px;padding:12px 16px}
.tile span{display:block;color:var(--muted);font-size:13px}
.tile strong{font-size:25px;line-height:1.25;font-weight:650;letter-spacing:-.01em}
.tile.net strong{font-size:25px}
.gain{color:var(--gain)}.loss{color:var(--loss)}
.columns{columns:2;column-gap:44px;margin-top:10px}
.columns>div{break-inside:avoid;padding-bottom:22px}
.scroll{max-width:100%}@media(max-width:900px){.scroll{overflow-x:auto}}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:5px 10px 5px 0;text-align:left;border-bottom:1px solid var(--line);
vertical-align:baseline}
th{font-weight:500}
thead th{color:var(--muted);font-size:13px;white-space:nowrap}
.n{text-align:right;white-space:nowrap;padding-left:10px}
td.n:last-child,th.n:last-child{padding-right:0}
tbody th[title]{text-decoration:underline dotted var(--line);text-underline-offset:4px;cursor:help}
.bar{width:30%;min-width:120px;padding-right:0;padding-left:14px}
.track{display:block;position:relative;height:12px}
.track i{position:absolute;top:0;bottom:0;border-radius:2px;min-width:1px}
.track b{position:absolute;top:-3px;bottom:-3px;width:1px;background:var(--muted)}
.total th,.total td{font-weight:650}
.months{table-layout:fixed;min-width:800px}
.months td,.months th{text-align:right;padding:6px 8px;border:1px solid var(--paper);
white-space:nowrap}
.months th{color:var(--muted)}
.months tbody th{text-align:left}
figure{margin:0 0 22px}
figure svg{display:block;width:100%;height:auto;min-width:620px}
figure svg text{font-family:inherit!important}
figcaption{font-size:14px;margin-bottom:6px}
dl{margin:0;font-size:14px;columns:2;column-gap:40px}
dl div{break-inside:avoid;margin-bottom:10px}
dt{font-weight:600}
dd{margin:0;color:var(--muted)}
details{margin-top:10px}
summary{cursor:pointer;color:var(--net)}
pre{background:var(--panel);border-radius:6px;padding:12px 16px;overflow-x:auto;font-size:12.5px;
line-height:1.45}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
footer{margin-top:44px;padding-top:14px;padding-bottom:36px;font-size:13px;
border-top:1px solid var(--line)}
@media screen and (max-width:720px){
body{font-size:16px}
header{padding-top:22px}
h1{font-size:24px}
.tiles{grid-template-columns:repeat(2,1fr)}
.columns{columns:1}
dl{columns:1}
.verdict{padding:14px 16px}
.tile strong,.tile.net strong{font-size:21px}
}
@media print{
@page{margin:14mm}
body{font-size:11px}
header,main,footer,nav{max-width:none;padding:0}
nav{display:none}
table,dl,.note,figcaption,.meta{font-size:10.5px}
thead th,.tile span{font-size:9.5px}
th,td{padding:2.5px 6px 2.5px 0}
.scroll{overflow:visible}
.bar{width:20%;min-width:0}
.months{min-width:0;font-size:9px}
.months td,.months th{padding:3px 2px}
h1{font-size:20px}
h2,.verdict h2{font-size:14px}
.warnings h2{font-size:11px}
.tile strong,.tile.net strong{font-size:16px}
.columns{column-gap:26px;margin-top:0}
details{display:none}
section{margin-top:22px}
figure,tr,.tile,.verdict{break-inside:avoid}
h2,h3{break-after:avoid}
figure svg{min-width:0}
.verdict,.tile,.track i,.months td{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

STYLE = (
    f":root{{color-scheme:light dark;{variables(LIGHT)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}{_RULES}"
)
