import { Button } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'
import { useText } from '../i18n/text'

/** Copies a text. Browsers offer the clipboard to pages over TLS and from this machine only: elsewhere there is no button. */
export function Copy({ text }: { text: string }) {
  const { t } = useText()
  const clipboard = useClipboard()
  if (!window.isSecureContext) return null
  return (
    <Button size="xs" variant="default" onClick={() => clipboard.copy(text)}>
      {t(clipboard.copied ? 'app.copied' : 'app.copy')}
    </Button>
  )
}
