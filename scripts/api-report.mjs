/**
 * Compares what the packages export with the reports in `etc/`, so that no change of the public API goes unseen.
 *
 *     npm run api                          builds, then compares
 *     npm run api -- --update              accepts what is exported now
 *     node scripts/api-report.mjs <root>   compares in another workspace
 *
 * The reports read what was built, because that is what users get.
 */
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor'
import { runToEnd } from './tools.mjs'

const { values, positionals } = parseArgs({
  options: { update: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const root = resolve(positionals[0] ?? dirname(import.meta.dirname))
const accepted = join(root, 'etc')
const fresh = join(root, 'node_modules/.cache/api-report')

/** The public entry points, each with its declarations and the name of its report, such as `envelope-testing`. */
function entryPoints() {
  return globSync('packages/*/package.json', { cwd: root }).flatMap((path) => {
    const manifest = join(root, path)
    const { name, exports } = JSON.parse(readFileSync(manifest, 'utf8'))
    const typed = Object.entries(exports ?? {}).filter(([, target]) => target.types !== undefined)
    return typed.map(([entry, { types }]) => ({
      manifest,
      declarations: join(dirname(manifest), types),
      report: [basename(name), ...entry.split('/').slice(1)].join('-'),
    }))
  })
}

function extractorConfig({ manifest, declarations, report }) {
  const off = { logLevel: 'none' }
  return ExtractorConfig.prepare({
    packageJsonFullPath: manifest,
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: dirname(manifest),
      mainEntryPointFilePath: declarations,
      newlineKind: 'lf',
      compiler: {
        overrideTsconfig: {
          // The gate `install` compiles all declarations; doing it here too takes longer than the reports.
          compilerOptions: {
            target: 'es2024',
            module: 'nodenext',
            types: ['node'],
            strict: true,
            skipLibCheck: true,
          },
          files: [declarations],
        },
      },
      apiReport: {
        enabled: true,
        reportFileName: report,
        reportFolder: fresh,
        reportTempFolder: join(fresh, 'temporary'),
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      // The reports show what there is; what is missing in comments or among the exports is for the gate `docs` to say.
      messages: { extractorMessageReporting: { default: off }, tsdocMessageReporting: { default: off } },
    },
  })
}

/** Writes the report of what an entry point exports now; returns the faults of its declarations. */
function writeReport({ manifest, declarations, report }) {
  const faults = []
  Extractor.invoke(extractorConfig({ manifest, declarations, report }), {
    localBuild: true,
    messageCallback: (message) => {
      message.handled = true
      if (message.category === 'Compiler') faults.push(`${declarations}: ${message.text}`)
    },
  })
  const file = join(fresh, `${report}.api.md`)
  // A comment that comes or goes is no change of the API.
  const text = readFileSync(file, 'utf8').replace(/^ *\/\/ \(undocumented\)\n/gm, '')
  writeFileSync(file, text.replaceAll(' (undocumented)', ''))
  return faults
}

/** Returns what is wrong with one report; with `--update` what is exported now is right. */
function checkReport(entryPoint) {
  const { declarations, report } = entryPoint
  if (!existsSync(declarations)) return [`${declarations} is missing: run npm run build`]
  const faults = writeReport(entryPoint)
  const [then, now] = [accepted, fresh].map((folder) => join(folder, `${report}.api.md`))
  const exists = existsSync(then)
  if (exists && readFileSync(then, 'utf8') === readFileSync(now, 'utf8')) return faults
  if (values.update) {
    copyFileSync(now, then)
    console.log(`etc/${report}.api.md was updated`)
    return faults
  }
  console.log(runToEnd('git', ['diff', '--no-index', exists ? then : '/dev/null', now]).output)
  return [...faults, `etc/${report}.api.md is not what the package exports`]
}

/** Reports of entry points that are no more. */
function checkLeftovers(expected) {
  return globSync('*.api.md', { cwd: accepted })
    .filter((file) => !expected.includes(file.replace('.api.md', '')))
    .flatMap((file) => {
      if (!values.update) return [`etc/${file} is about an entry point that is no more`]
      rmSync(join(accepted, file))
      return []
    })
}

for (const folder of [accepted, fresh]) mkdirSync(folder, { recursive: true })
const found = entryPoints()
const faults = [...found.flatMap(checkReport), ...checkLeftovers(found.map(({ report }) => report))]
for (const fault of faults) console.error(fault)
if (faults.length > 0 && !values.update) {
  console.error(
    'Where the change of the API is meant: npm run api -- --update, and a changeset for what users see.',
  )
}
console.log(`API reports: ${found.length} entry points, ${faults.length} faults`)
process.exitCode = faults.length > 0 ? 1 : 0
