/**
 * Runs the tests. Arguments go to vitest, so `npm test -- packages/sqlite` runs a part.
 *
 * The last line is always `tests: N passed, N failed, N skipped`; a run that fails for another reason than a failed
 * test (a canary in the output, no test at all, an error outside of a test) counts as one failed. Above it stand the
 * tests that failed, for whoever sees the end of a long output only.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { findCanaries } from '../test/canaries.ts'

const LINES_OF_A_FAILURE = 8
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')

function runVitest(reportFile) {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`]
  const args = [vitest, 'run', ...reporters, ...process.argv.slice(2)]
  const env = process.stdout.isTTY ? { ...process.env, FORCE_COLOR: '1' } : process.env
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const printed = []
  const passOn = (target) => (chunk) => {
    printed.push(chunk)
    target.write(chunk)
  }
  child.stdout.on('data', passOn(process.stdout))
  child.stderr.on('data', passOn(process.stderr))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, printed: Buffer.concat(printed) }))
  })
}

function readReport(reportFile) {
  if (!existsSync(reportFile)) return { passed: 0, failures: [], skipped: 0 }
  const report = JSON.parse(readFileSync(reportFile, 'utf8'))
  return {
    passed: report.numPassedTests,
    failures: report.testResults.flatMap(failuresOf),
    skipped: report.numPendingTests + report.numTodoTests,
  }
}

/** What failed in one file: its tests, or the file itself when it could not be loaded or set up. */
function failuresOf({ name, status, message, assertionResults }) {
  const file = relative(process.cwd(), name)
  const failed = assertionResults.filter((test) => test.status === 'failed')
  if (status === 'failed' && failed.length === 0) return [failure(file, message)]
  return failed.map(({ ancestorTitles, title, failureMessages }) =>
    failure([file, ...ancestorTitles, title].join(' > '), failureMessages[0]),
  )
}

function failure(where, message = '') {
  const lines = stripVTControlCharacters(message).split('\n').slice(0, LINES_OF_A_FAILURE)
  return [where, ...lines.map((line) => `  ${line.slice(0, 200)}`)].join('\n')
}

/** Ends the run with the line that installs what is missing. */
function checkServices() {
  const services = join(import.meta.dirname, 'services.mjs')
  if (spawnSync(process.execPath, [services], { stdio: 'inherit' }).status === 0) return
  console.log('tests: 0 passed, 1 failed, 0 skipped')
  process.exit(1)
}

checkServices()
const folder = mkdtempSync(join(tmpdir(), 'tests-'))
try {
  const reportFile = join(folder, 'report.json')
  const { code, printed } = await runVitest(reportFile)
  const { passed, failures, skipped } = readReport(reportFile)
  const failed = failures.length
  const faults = []
  // Bytes that are no UTF-8 only survive as Latin-1.
  const texts = [printed.toString('utf8'), printed.toString('latin1')].map((text) =>
    stripVTControlCharacters(text),
  )
  const canaries = new Set(texts.flatMap((text) => findCanaries(text)))
  if (canaries.size > 0) faults.push(`the output above contains key material: ${[...canaries].join(', ')}`)
  if (passed + failed === 0) faults.push('no test ran')
  if (code !== 0 && failed === 0 && passed > 0) faults.push(`vitest ended with exit code ${code}`)
  if (failed > 0) console.log(['failed tests:', ...failures].join('\n'))
  for (const fault of faults) console.log(`error: ${fault}`)
  const counted = faults.length > 0 ? Math.max(failed, 1) : failed
  console.log(`tests: ${passed} passed, ${counted} failed, ${skipped} skipped`)
  process.exitCode = counted > 0 ? code || 1 : code
} finally {
  rmSync(folder, { recursive: true, force: true })
}
