import { notifications } from '@mantine/notifications'
import { useCallback } from 'react'
import { useText } from '../i18n/text'

/** Tells that something is done, in a corner and to a screen reader. */
export function useNotify(): (message: string) => void {
  const { t } = useText()
  return useCallback(
    (message) => {
      notifications.show({ message, color: 'leaf', role: 'status', closeButtonProps: { 'aria-label': t('app.close') } })
    },
    [t],
  )
}
