import { describe } from 'vitest'
import { HOSTS } from '../support/hosts.ts'
import { wrapsWritten } from '../support/test-vault.ts'
import { authenticationContract, mountingContract } from './authentication.ts'
import { bodiesContract } from './bodies.ts'
import { documentedContract } from './documented.ts'
import { answersContract, errorsContract } from './errors.ts'
import { idempotencyContract } from './idempotency.ts'
import { keksContract } from './keks.ts'
import { liveContract } from './live.ts'
import { readingContract } from './reading.ts'
import { rotationsContract } from './rotations.ts'
import { routesContract } from './routes.ts'

describe('before mounting', mountingContract)

describe.each(HOSTS)('$title', (host) => {
  routesContract(host)
  rotationsContract(host)
  keksContract(host)
  readingContract(host)
  idempotencyContract(host)
  authenticationContract(host)
  bodiesContract(host)
  errorsContract(host)
})

// Events take seconds: once for each kind of host, in the hardest place.
const BEHIND_PROXY = HOSTS.filter(({ title }) => title.endsWith('behind a rewriting proxy'))
describe.each(BEHIND_PROXY)('$title', liveContract)

describe('all answers', () => {
  answersContract(() => wrapsWritten)
  documentedContract()
})
