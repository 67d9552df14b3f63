import { type Reporter, type SerializedError, type TestModule } from "vitest/node";

/** Ends the output of a run with one line that scripts can read: `N passed, N failed`. */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    let passed = 0;
    let failed = errors.length; // thrown outside of any test: the run failed as well
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      passed += tests.filter((test) => test.result().state === "passed").length;
      failed += tests.filter((test) => test.result().state === "failed").length;
      // A file or a suite that broke before its tests ran has none that failed.
      const suites = [module, ...module.children.allSuites()];
      failed += suites.filter((suite) => suite.errors().length > 0).length;
    }
    // After the summary that the default reporter writes: that one waits for the end of the run as well.
    process.once("exit", () => process.stdout.write(`${passed} passed, ${failed} failed\n`));
  }
}
