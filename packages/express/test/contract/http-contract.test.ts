import { describe } from 'vitest'
import { HOSTS } from '../support/hosts.ts'
import { routesContract } from './routes.ts'

describe.each(HOSTS)('$title', (host) => {
  routesContract(host)
})
