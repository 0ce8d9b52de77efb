import { Button, Center, Stack, Text, Title } from '@mantine/core'
import type { ErrorComponentProps } from '@tanstack/react-router'
import { isProblem } from '../api/problem'
import { useText } from '../i18n/text'
import { LinkButton } from '../kit/links'
import { Failure } from '../kit/problem'

export function NotFound() {
  const { t } = useText()
  return (
    <Center component="main" py="xl">
      <Stack align="center" ta="center">
        <Title order={1} size="h3">
          {t('app.notFound')}
        </Title>
        <Text c="dimmed">{t('app.notFoundText')}</Text>
        <LinkButton to="/calls">{t('app.home')}</LinkButton>
      </Stack>
    </Center>
  )
}

/** A page that failed: by the network, or by a fault of ours, such as a part of an older version that is no longer served. */
export function Broken({ error }: ErrorComponentProps) {
  const { t } = useText()
  const reload = () => window.location.reload()
  if (isProblem(error)) return <Failure error={error} retry={reload} />
  return (
    <Center py="xl">
      <Stack align="center" ta="center" role="alert">
        <Title order={1} size="h3">
          {t('app.broken')}
        </Title>
        <Text c="dimmed">{t('app.brokenText')}</Text>
        <Button onClick={reload}>{t('app.retry')}</Button>
      </Stack>
    </Center>
  )
}
