/**
 * Sees to the programs that the tests start and npm does not have. Quick when all are there.
 *
 *     node scripts/services.mjs
 *
 * Installs what is missing on Debian as root, and says so; otherwise ends with the line that installs it.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Debian package → a file it brings. */
const PACKAGES = {
  postgresql: '/usr/lib/postgresql/15/bin/postgres',
  pgbouncer: '/usr/sbin/pgbouncer',
  'redis-server': '/usr/bin/redis-server',
  'mariadb-server': '/usr/sbin/mariadbd',
  'openjdk-17-jre-headless': '/usr/bin/java',
  chromium: '/usr/bin/chromium',
  curl: '/usr/bin/curl',
  openssl: '/usr/bin/openssl',
}

function run(command, ...args) {
  console.log(`services: ${command} ${args.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const ended = spawnSync(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  return ended.status === 0
}

function missing() {
  return Object.keys(PACKAGES).filter((name) => !existsSync(PACKAGES[name]))
}

function install(names) {
  // Packages start their own servers when they are installed; the tests use servers of their own.
  const args = ['install', '-y', '--no-install-recommends', ...names]
  return run('apt-get', ...args) || (run('apt-get', 'update') && run('apt-get', ...args))
}

const wanted = missing()
if (wanted.length > 0) {
  const mayInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (!mayInstall || !install(wanted) || missing().length > 0) {
    console.error(`The tests need ${missing().join(' and ')}; run: apt-get install -y ${missing().join(' ')}`)
    process.exit(1)
  }
}
