import { Button, Group, Modal, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useText } from '../i18n/text'
import { Failure } from './problem'

/** Asks before something that cannot be undone, does it, and stays open to say why when it fails. */
export function Confirm({
  title,
  text,
  action,
  danger = true,
  run,
  done,
  close,
  children,
}: {
  title: string
  text?: string
  action: string
  danger?: boolean
  run: () => Promise<unknown>
  done?: () => void
  close: () => void
  children?: ReactNode
}) {
  const { t } = useText()
  const m = useMutation({
    mutationFn: run,
    onSuccess: () => {
      close()
      done?.()
    },
  })
  return (
    <Modal opened onClose={close} title={title} centered closeButtonProps={{ 'aria-label': t('app.close') }}>
      <Stack>
        {text && <Text>{text}</Text>}
        {children}
        {m.isError && <Failure error={m.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={close} data-autofocus>
            {t('app.cancel')}
          </Button>
          <Button color={danger ? 'red' : undefined} loading={m.isPending} onClick={() => m.mutate()}>
            {action}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
