import { describe } from 'vitest'
import { HOSTS } from '../support/hosts.ts'
import { wrapsWritten } from '../support/test-vault.ts'
import { authenticationContract, mountingContract } from './authentication.ts'
import { bodiesContract } from './bodies.ts'
import { answersContract, errorsContract } from './errors.ts'
import { routesContract } from './routes.ts'

describe('before mounting', mountingContract)

describe.each(HOSTS)('$title', (host) => {
  routesContract(host)
  authenticationContract(host)
  bodiesContract(host)
  errorsContract(host)
})

describe('all answers', () => answersContract(() => wrapsWritten))
