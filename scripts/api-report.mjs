/**
 * Compares what the packages export with the reports in `etc/`, so that no change of the public API goes unseen.
 *
 *     npm run api                          builds, then compares
 *     npm run api -- --update              accepts what is exported now
 *     node scripts/api-report.mjs <root>   compares in another workspace
 *
 * The reports read what was built, because that is what users get.
 */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor'

const { values, positionals } = parseArgs({
  options: { update: { type: 'boolean', default: false } },
  allowPositionals: true,
})
const root = resolve(positionals[0] ?? dirname(import.meta.dirname))
const reportFolder = join(root, 'etc')
const reportTempFolder = join(root, 'node_modules/.cache/api-report')

/** The public entry points, each with its declarations and the name of its report, such as `envelope-testing`. */
function entryPoints() {
  return globSync('packages/*/package.json', { cwd: root }).flatMap((path) => {
    const manifest = join(root, path)
    const { name, exports } = JSON.parse(readFileSync(manifest, 'utf8'))
    const typed = Object.entries(exports).filter(([, target]) => target.types !== undefined)
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
        reportFolder,
        reportTempFolder,
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

/** Returns what is wrong with one report; with `--update` it is written anew before. */
function checkReport(entryPoint) {
  const { declarations, report } = entryPoint
  if (!existsSync(declarations)) return [`${declarations} is missing: run npm run build`]
  const faults = []
  const { apiReportChanged } = Extractor.invoke(extractorConfig(entryPoint), {
    localBuild: values.update,
    printApiReportDiff: true,
    messageCallback: (message) => {
      message.handled = true
      if (message.category === 'Compiler') faults.push(`${declarations}: ${message.text}`)
      if (message.messageId === 'console-api-report-diff') console.log(message.text)
    },
  })
  if (apiReportChanged) {
    if (values.update) console.log(`etc/${report}.api.md was updated`)
    else faults.push(`etc/${report}.api.md is not what the package exports`)
  }
  return faults
}

/** Reports of entry points that are no more. */
function checkLeftovers(expected) {
  return globSync('*.api.md', { cwd: reportFolder })
    .filter((file) => !expected.includes(file.replace('.api.md', '')))
    .flatMap((file) => {
      if (!values.update) return [`etc/${file} is about an entry point that is no more`]
      rmSync(join(reportFolder, file))
      return []
    })
}

mkdirSync(reportFolder, { recursive: true })
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
