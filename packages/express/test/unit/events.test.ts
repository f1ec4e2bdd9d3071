import { once } from 'node:events'
import { expect, it } from 'vitest'
import { EventOutlet } from '../../src/events.ts'

it('Rule 4: without a listener a parsed body is one warning of the process, and failures are no noise', async () => {
  const outlet = new EventOutlet()
  const warnings: Error[] = []
  const onWarning = (warning: Error) => void warnings.push(warning)
  process.on('warning', onWarning)
  try {
    const first = once(process, 'warning')
    outlet.send({
      type: 'request_failed',
      operation: 'none',
      status: 500,
      code: 'INTERNAL',
      error: new Error(),
    })
    outlet.warnOfParsedBody()
    outlet.warnOfParsedBody()
    await first
    await new Promise(setImmediate)
    expect(warnings).toMatchObject([{ code: 'TALOS_BODY_ALREADY_PARSED' }])
  } finally {
    process.off('warning', onWarning)
  }
})
