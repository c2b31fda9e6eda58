"""Texts that a model or a data set could hold to run code in a page, and a sweep that is full of them."""

from pathlib import Path

from tests.report.making import Made

CORPUS = (
    "<script>pwned()</script>",
    "</script><script>pwned()</script>",
    "</SCRIPT ><svg onload=pwned()>",
    "<!--<script>pwned()//-->",
    "--><script>pwned()</script>",
    "]]><script>pwned()</script>",
    "<img src=x onerror=pwned()>",
    '<img src=1 href=1 onerror="javascript:pwned()">',
    "<svg/onload=pwned()>",
    "<svg><script>pwned()</script></svg>",
    "<svg><animate onbegin=pwned() attributeName=x dur=1s>",
    "<body onload=pwned()>",
    "<iframe src=javascript:pwned()></iframe>",
    "<iframe srcdoc='<script>parent.pwned()</script>'></iframe>",
    "<object data=javascript:pwned()></object>",
    "<embed src=javascript:pwned()>",
    "<a href=javascript:pwned()>go</a>",
    "<a href='java\tscript:pwned()'>go</a>",
    "<a href='data:text/html,<script>pwned()</script>'>go</a>",
    "<form action=javascript:pwned()><button>x</button></form>",
    "<input autofocus onfocus=pwned()>",
    "<details open ontoggle=pwned()>x</details>",
    "<video><source onerror=pwned()></video>",
    "<math href=javascript:pwned()>x</math>",
    "<link rel=stylesheet href=data:text/css,*{display:none}>",
    "<style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=javascript:pwned()'>",
    "<base href=javascript:pwned()//>",
    "<template><script>pwned()</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=pwned()>'>",
    "' onmouseover='pwned()' x='",
    '" onmouseover="pwned()" x="',
    "`onmouseover=pwned()`",
    "javascript:pwned()",
    "{{ 7*7 }}{% include 'x' %}${pwned()}#{pwned()}",
    "%{pwned()} %{x} <b>bold</b><br><sup>x</sup>",
    "<a href='https://example.com/?q=1'>link in a plot</a>",
    "\u2028\u2029 line ends \u0000 and \u0007 signs",
    "\u202egnp.exe\u202c turned around",
    "=cmd|'/c calc'!A0",
    "@SUM(1+1)*cmd",
    "&lt;script&gt;pwned()&lt;/script&gt;",
    "[bold]markup of the terminal[/bold][link=https://example.com]x[/link]",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=pwned()>#x'></use></svg>",
    "<svg><a xlink:href=javascript:pwned()><text>x</text></a></svg>",
    "<svg><foreignObject><body onload=pwned()></foreignObject></svg>",
    "<x onclick=pwned() onfocus=pwned() tabindex=1 style=position:fixed;inset:0>x</x>",
    "<div style=animation-name:x onanimationstart=pwned()>x</div>",
    "<button popovertarget=tip onbeforetoggle=pwned()>x</button>",
    "<marquee onstart=pwned()>x</marquee>",
    "</textarea></title></style></xmp><script>pwned()</script>",
    "<scr\u0000ipt>pwned()</scr\u0000ipt>",
    "\ufeff\uff1cscript\uff1epwned()\uff1c/script\uff1e",
    "%3Cscript%3Epwned()%3C/script%3E",
    "<a id=data name=DATA></a><a id=tip name=route></a>",
    "__proto__",
    "constructor",
    "\u001b]8;;https://example.com\u0007link of a terminal\u001b]8;;\u0007\u001b[2J",
    "\\u003cscript\\u003epwned()\\u003c/script\\u003e",
    "../../../etc/passwd",
)


def hostile(root: Path) -> Made:
    """A sweep whose every text is from the corpus: names, axes, reasons, logs, notices, claims, questions, answers."""
    log = root / "log.txt"
    root.mkdir(exist_ok=True)
    log.write_text("\n".join(CORPUS).replace("\u0000", ""))
    verdicts = [
        {"claim": text, "text": text, "verdict": "held", "value": 0.1, "low": 0.0, "high": 0.2, "per_seed": [0.1]}
        for text in CORPUS
    ]
    names = [text.replace("\u0000", "").replace("/", "\u2215") for text in CORPUS]
    made = Made(
        root,
        name="<i>name</i>",
        kind="preference",
        weak=(names[0], names[6]),
        strong=(names[16], "small"),
        paradigms=("weak_to_strong", "<u>paradigm</u>"),
        axes=({"objective": CORPUS[1]}, {"objective": CORPUS[36]}),
        seeds=(0, 1),
        num_examples=4 * len(CORPUS),
        class_names=(CORPUS[0], CORPUS[3]),
        texts=lambda i: [f"{CORPUS[i % len(CORPUS)]} A", f"{CORPUS[i % len(CORPUS)]} B"],
        solutions=lambda i: f"{CORPUS[i % len(CORPUS)]}\n{CORPUS[(i + 1) % len(CORPUS)]}",
        states={0: "failed", 1: "running"},
        reasons={0: " ".join(CORPUS)},
        logs={0: str(log)},
        notices=CORPUS,
        subsets=CORPUS,
        verdicts=verdicts,
    )
    made.write()
    return made
