import type { AdminRequest, AdminResponse } from '../exchange.ts'
import { Problem } from '../problem.ts'

/** A file of the console. */
export interface ConsoleFile {
  readonly type: string
  readonly bytes: Uint8Array
}

/** The built console; `null` where this installation has none. */
export type ConsoleFiles = () => Promise<{
  readonly page: ConsoleFile
  readonly assets: ReadonlyMap<string, ConsoleFile>
} | null>

/** Scripts, styles and requests of the page's own origin only, nothing inline, and no text that becomes markup. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

/** Makes the handler of `GET /console`. */
export function readConsole(files: ConsoleFiles) {
  return async (): Promise<AdminResponse> => {
    const found = await files()
    if (found === null) throw new Problem('CONSOLE_NOT_BUILT')
    return answer(found.page)
  }
}

/** Makes the handler of `GET /console/`. What the page asks for is relative to its address: with a slash at the end it is not there. */
export function redirectToConsole() {
  return async (): Promise<AdminResponse> => ({
    status: 308,
    headers: { Location: '../console' },
    file: new Uint8Array(),
  })
}

/** Makes the handler of `GET /console/:file`. */
export function readConsoleFile(files: ConsoleFiles) {
  return async ({ params }: AdminRequest): Promise<AdminResponse> => {
    const found = await files()
    if (found === null) throw new Problem('CONSOLE_NOT_BUILT')
    const file = found.assets.get(params['file'] ?? '')
    if (file === undefined) throw new Problem('CONSOLE_FILE_NOT_FOUND')
    return answer(file)
  }
}

/**
 * `no-store` as every answer, though the names of assets carry a digest: a script that is given tokens comes from this process
 * each time and never out of a cache that others can fill. A sign-in costs 34 KiB for it.
 */
function answer({ type, bytes }: ConsoleFile): AdminResponse {
  const headers = {
    'Content-Type': type,
    'Content-Security-Policy': POLICY,
    // A page that opens this one in a window holds nothing of it.
    'Cross-Origin-Opener-Policy': 'same-origin',
  }
  return { status: 200, headers, file: bytes }
}
