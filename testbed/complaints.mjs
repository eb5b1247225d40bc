// What a kernel that looks for mistakes says when it has found one.

/** How its reports begin (`lib/bug.c`, `mm/kasan`, `kernel/locking/lockdep.c`, `mm/kmemleak.c` and others). */
const reports = [
  /\bBUG: /,
  /\bWARNING: /,
  /\bINFO: (possible|inconsistent|task .* blocked|rcu|lockdep is turned off|trying to register)/,
  /\bOops: /,
  /possible circular locking/,
  /possible recursive locking/,
  /inconsistent lock state/,
  /suspicious RCU usage/,
  /kmemleak: .*new suspected memory leaks/,
  /general protection fault/,
]

/** The lines of a kernel's log that begin a report. */
export const complaints = (log) => log.split('\n').filter((line) => reports.some((report) => report.test(line)))
