/** Packs the packages of the workspace as they would be published. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, runToEnd, windows } from './tools.mjs'

function isPublished(entry) {
  const manifest = join(entry.parentPath, entry.name, 'package.json')
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).private !== true
}

/** The folders of the packages that are published, as paths below the root. */
export const PACKAGES = readdirSync(join(root, 'packages'), { withFileTypes: true })
  .filter(isPublished)
  .map((entry) => join('packages', entry.name))

/**
 * Packs what `npm run build` left in `dist`, and returns the tarballs' paths. A release builds again before it packs;
 * the gates come after a build and need not.
 */
export function packPackages(folder) {
  return PACKAGES.map((path) => {
    const destination = join(folder, path)
    mkdirSync(destination, { recursive: true })
    const packed = runToEnd(
      'pnpm',
      ['pack', '--config.ignore-scripts=true', '--pack-destination', destination],
      {
        cwd: join(root, path),
        shell: windows,
      },
    )
    if (!packed.ok) throw new Error(`${path} could not be packed:\n${packed.output}`)
    return join(destination, readdirSync(destination)[0])
  })
}
