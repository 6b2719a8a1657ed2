/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The page's style: two palettes, narrow and wide, paper.
 */
#include "views/html/draw.h"

#define LIGHT                                                                                                               \
	"--bg:#fff;--fg:#1b1f24;--dim:#5a6470;--line:#d6dbe1;--panel:#f4f6f8;--accent:#0b5cb8;--ram:#45a06a;"               \
	"--rom:#d39a2d;--device:#8a5ccc;--hole:#e4e8ed;--bad:#b3261e;"
#define DARK                                                                                                                \
	"--bg:#14171b;--fg:#dfe5eb;--dim:#98a3af;--line:#343c46;--panel:#1d2228;--accent:#74b5ff;--ram:#3f9463;"            \
	"--rom:#bd8a2c;--device:#9a74d8;--hole:#2b323b;--bad:#ff8078;"

const char html_style[] =
    ":root{color-scheme:light dark;" LIGHT "}\n"
    "@media (prefers-color-scheme:dark){:root{" DARK "}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:76rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}\n"
    "h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:0 0 .6rem}h3{font-size:1rem;margin:1rem 0 .4rem}\n"
    "p{margin:.3rem 0}a{color:var(--accent)}.dim{color:var(--dim)}.bad{color:var(--bad)}\n"
    "nav{display:flex;flex-wrap:wrap;gap:.3rem .9rem;margin:.8rem 0}\n"
    "section{border-top:1px solid var(--line);padding:1rem 0}\n"
    ".stop{background:var(--panel);border-left:4px solid var(--accent);padding:.6rem .9rem;border-radius:4px}\n"
    ".wide{overflow-x:auto}\n"
    "table{border-collapse:collapse;font-size:.87rem}\n"
    "th{text-align:left;font-weight:600;color:var(--dim);border-bottom:1px solid var(--line);white-space:nowrap}\n"
    "th,td{padding:.2rem .7rem .2rem 0;vertical-align:top}\n"
    "td{font-family:ui-monospace,monospace;white-space:nowrap;border-bottom:1px solid var(--line)}\n"
    "td.lines{white-space:normal;min-width:min(22rem,60vw);font-family:inherit}"
    "\n"
    ".regs{columns:12.5rem;column-gap:1.5rem;font:.87rem/1.5 ui-monospace,monospace}\n"
    ".regs div{display:flex;justify-content:space-between;gap:.6rem;break-inside:avoid}\n"
    ".facts{columns:15rem;column-gap:2rem;font-size:.87rem}.facts div{break-inside:avoid}\n"
    ".count{margin-right:.6rem}\n"
    "code,.tree{font:.87rem/1.55 ui-monospace,monospace}\n"
    ".tree details details,.tree details p{margin-left:1.1rem}.tree p{margin-top:0;margin-bottom:0;padding-left:1rem}\n"
    "summary{cursor:pointer}.tree b{color:var(--accent);font-weight:600}\n"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem}.pair>*{min-width:0}\n"
    "svg{display:block;width:100%;height:auto}.map{max-width:34rem}.chain{max-width:30rem}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem;margin-bottom:1rem}\n"
    ".chart{max-width:30rem}\n"
    "text{fill:var(--fg);font:11px ui-monospace,monospace}text.dim,.dim text{fill:var(--dim)}.b{font-weight:700}\n"
    ".small{font-size:9px}.end{text-anchor:end}\n"
    "rect{stroke:var(--bg)}.ram{fill:var(--ram)}.rom{fill:var(--rom)}.device{fill:var(--device)}.hole{fill:var(--hole)}\n"
    ".cut{fill-opacity:.45;stroke:var(--dim);stroke-dasharray:3 3}\n"
    ".leader,.arrow,.axis{fill:none;stroke:var(--dim)}.leader{stroke-opacity:.6}\n"
    ".box{fill:var(--panel);stroke:var(--dim)}.head{stroke:var(--accent)}.desc{stroke-dasharray:4 2}\n"
    ".plot{fill:none;stroke:var(--accent);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n"
    "@media (max-width:30rem){body{padding:.7rem;font-size:14px}}\n"
    "@media print{:root{color-scheme:light;" LIGHT "}body{max-width:none;padding:0;font-size:10pt}nav{display:none}"
    ".wide{overflow:visible}td{white-space:normal}td.n{white-space:nowrap}details::details-content{content-visibility:"
    "visible;height:auto}"
    "svg,tr,.stop{break-inside:avoid}h2,h3{break-after:avoid}}\n";
