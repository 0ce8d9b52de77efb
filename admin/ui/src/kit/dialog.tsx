import { Modal } from '@mantine/core'
import type { ReactNode } from 'react'
import { useText } from '../i18n/text'
import { usePhone } from './screen'

export function Dialog({ title, close, children }: { title: string; close: () => void; children: ReactNode }) {
  const { t } = useText()
  return (
    <Modal
      opened
      onClose={close}
      title={title}
      size="lg"
      fullScreen={usePhone()}
      closeButtonProps={{ 'aria-label': t('app.close') }}
    >
      {children}
    </Modal>
  )
}
