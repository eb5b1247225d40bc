/**
 * How the drawings look, dark and light: rules for everything within an element of the class `vm`. A page puts them into
 * its own style sheet, a document of its own has them inside. The drawings have no other style, so that a page may forbid
 * styles in markup.
 */
export const pictureStyle = `
.vm{--paper:#fff;--ink:#1a2230;--soft:#596577;--faint:#d8dee7;--wash:#f3f5f8;--down:#f0a83033;--down-edge:#c47a00;--bad:#c8371b;--good:#0a7d5a;--flow:#2b86c5;--flow-fill:#2b86c533;--other:#a8518a;
color:var(--ink);background:var(--paper);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){.vm{--paper:#0e131b;--ink:#e6ebf2;--soft:#9aa6b7;--faint:#2c3544;--wash:#161d28;--down:#f0a83030;--down-edge:#f0b34d;--bad:#ff8163;--good:#43cfa0;--flow:#61b5f0;--flow-fill:#61b5f02e;--other:#e0a0cb}}
.vm svg,svg.vm{display:block;max-width:100%;height:auto}
.vm text{fill:var(--ink);font-size:12px}
.vm .vm-soft{fill:var(--soft)}
.vm .vm-small{font-size:11px}
.vm .vm-end{font-weight:600;font-size:12px;letter-spacing:.02em}
.vm .vm-bad{fill:var(--bad)}
.vm .vm-good{fill:var(--good)}
.vm .vm-grid{stroke:var(--faint);stroke-width:1;fill:none}
.vm .vm-rest{fill:var(--wash)}
.vm .vm-in{fill:#10161f;font-size:11px;font-weight:500}
.vm .vm-down{fill:var(--down)}
.vm .vm-down-edge{stroke:var(--down-edge);fill:none;stroke-width:1.25}
.vm .vm-down-text{fill:var(--down-edge);font-weight:600}
.vm .vm-area{fill:var(--flow-fill)}
.vm .vm-curve{fill:none;stroke:var(--flow);stroke-width:1.75;stroke-linejoin:round}
.vm .vm-curve.vm-restore{stroke:var(--other);stroke-dasharray:5 3}
.vm .vm-quiet{fill:var(--faint)}
.vm .vm-flow{fill:#9fd0ef}
.vm .vm-phase-down{fill:#f3cd84}
.vm .vm-phase-bad{fill:#f2a58d}
.vm .vm-on-quiet{fill:var(--ink);font-size:10.5px}
.vm .vm-on{fill:#10161f;font-size:10.5px}
.vm .vm-guest{fill:var(--good)}
.vm .vm-running,.vm .vm-running-p2p{fill:#37b58e}
.vm .vm-pre-copy,.vm .vm-pre-copy-p2p{fill:#5fb7ea}
.vm .vm-stop-copy{fill:#f0a830}
.vm .vm-stop{fill:#b7bfca}
.vm .vm-resuming{fill:#d99ac2}
.vm .vm-error{fill:#e8683a}
.vm .vm-unknown{fill:#97a1b0}
.vm .vm-hatch{stroke:#10161f;stroke-opacity:.22;stroke-width:1.5;fill:none}
.vm .vm-dot{fill:#10161f;fill-opacity:.24}
.vm .vm-mark circle{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}
.vm .vm-mark path{fill:none;stroke:var(--ink);stroke-width:1.5;stroke-linecap:round;stroke-linejoin:round}
.vm .vm-mark line{stroke:var(--ink);stroke-width:1}
.vm .vm-mark.vm-trouble line{stroke:var(--bad)}
.vm .vm-mark.vm-trouble circle{fill:var(--bad);stroke:var(--paper)}
.vm .vm-mark.vm-trouble path{stroke:var(--paper);stroke-width:1.75}
.vm .vm-idle{fill:var(--paper);stroke:var(--faint);stroke-width:1.25}
.vm .vm-walked rect{stroke:#10161f;stroke-opacity:.25}
.vm .vm-on-node{fill:#10161f;font-weight:600}
.vm .vm-arc{fill:none;stroke:var(--faint);stroke-width:1.25}
.vm .vm-head-idle{fill:var(--faint)}
.vm .vm-head-walked{fill:var(--ink)}
.vm .vm-leg path{fill:none;stroke:var(--ink);stroke-width:2.25}
.vm .vm-leap path{stroke-dasharray:4 3;stroke:var(--bad)}
.vm .vm-leg rect{fill:var(--ink)}
.vm .vm-leg text{fill:var(--paper);font-size:11px;font-weight:600}
.vm-document{margin:0;min-height:100vh}
.vm-document main{max-width:1072px;margin:0 auto;padding:20px 16px 48px;box-sizing:border-box}
.vm-document h1{font-size:22px;line-height:1.25;margin:8px 0 4px;overflow-wrap:anywhere}
.vm-document .vm-headline{color:var(--soft);margin:0 0 18px;max-width:70ch;overflow-wrap:anywhere}
.vm-picture{container-type:inline-size}
.vm .vm-narrow{display:none}
@container (max-width:700px){.vm .vm-wide{display:none}.vm .vm-narrow{display:block}}
.vm .vm-figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:8px;margin:0 0 20px;padding:0}
.vm .vm-figures div{background:var(--wash);border-radius:8px;padding:8px 10px;min-width:0}
.vm .vm-figures dt{color:var(--soft);font-size:12px}
.vm .vm-figures dd{margin:0;font-size:17px;font-weight:600;line-height:1.35;overflow-wrap:anywhere}
.vm .vm-figures small{display:block;font-size:11px;font-weight:400;color:var(--soft);line-height:1.35}
.vm .vm-wrong dd{color:var(--bad)}
.vm .vm-wrong dd small{color:var(--soft)}
.vm .vm-legend{list-style:none;display:flex;flex-wrap:wrap;gap:6px 16px;padding:0;margin:14px 0;font-size:12px;color:var(--soft)}
.vm .vm-legend li{display:flex;align-items:center;gap:6px}
.vm .vm-note{color:var(--soft);font-size:12px;margin:8px 0}
.vm .vm-graphs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(310px,100%),1fr));gap:20px;margin:24px 0}
.vm figure{margin:0}
.vm figcaption{font-weight:600;font-size:13px;margin-bottom:8px;overflow-wrap:anywhere}
.vm .vm-table{overflow-x:auto;margin:18px 0}
.vm table{border-collapse:collapse;font-size:13px;width:100%}
.vm caption{text-align:left;font-weight:600;padding-bottom:6px}
.vm th,.vm td{white-space:nowrap;text-align:left;font-weight:400;padding:4px 14px 4px 0;border-top:1px solid var(--faint);vertical-align:top}
.vm .vm-long{white-space:normal;min-width:240px;overflow-wrap:anywhere}
.vm thead th{border-top:0;color:var(--soft);font-size:12px}
.vm summary{cursor:pointer;font-weight:600;font-size:13px}
.vm :focus-visible{outline:2px solid var(--flow);outline-offset:2px}
@media print{.vm .vm-wide{display:block}.vm .vm-narrow{display:none}}
`
