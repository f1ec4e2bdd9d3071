import type { JSX } from 'preact'
import type { Certificate } from '../../api/types.ts'
import { Button } from '../../design/button.tsx'
import { Dialog } from '../../design/dialog.tsx'

/** Gives the certificate to the browser as a file; it is made here and asked of nobody. */
function download(certificate: Certificate): void {
  const { kekId, epoch } = certificate
  const address = URL.createObjectURL(
    new Blob([`${JSON.stringify(certificate, null, 2)}\n`], { type: 'application/json' }),
  )
  const link = document.createElement('a')
  link.href = address
  link.download = `retirement-certificate-${kekId}-epoch-${epoch}.json`
  link.click()
  URL.revokeObjectURL(address)
}

export function DownloadButton({ certificate }: { readonly certificate: Certificate }): JSX.Element {
  return (
    <Button icon="download" onClick={() => download(certificate)}>
      Certificate
    </Button>
  )
}

/** Hands over the certificate that a retirement rests on: it is to be kept with the escrow. */
export function RetiredDialog({
  certificate,
  onClose,
}: {
  readonly certificate: Certificate
  readonly onClose: () => void
}): JSX.Element {
  const { kekId } = certificate
  return (
    <Dialog
      title={`${kekId} is retired`}
      verb="Download the certificate"
      cancel="Close"
      onClose={onClose}
      onConfirm={async () => download(certificate)}
    >
      <p>
        The bytes of <code>{kekId}</code> can be taken out of every key source. Keep the certificate with its
        escrow: it names the epoch and holds the evidence of every check.
      </p>
    </Dialog>
  )
}
