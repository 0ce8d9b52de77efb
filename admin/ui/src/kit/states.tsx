import { Center, Loader, Paper, Stack, Text, Title } from '@mantine/core'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useText } from '../i18n/text'
import { Failure } from './problem'

export function Loading() {
  const { t } = useText()
  return (
    <Center py="xl" role="status">
      <Loader aria-hidden />
      <Text className="hidden-visually">{t('app.loading')}</Text>
    </Center>
  )
}

export function Empty({ title, text, children }: { title: string; text?: string; children?: ReactNode }) {
  return (
    <Paper withBorder p="xl" role="status">
      <Stack align="center" gap="xs" ta="center">
        <Title order={2} size="h5">
          {title}
        </Title>
        {text && <Text c="dimmed">{text}</Text>}
        {children}
      </Stack>
    </Paper>
  )
}

/** Shows a query's data, or that it is loading, or why there is none. Data that is there stays when a refresh fails. */
export function Loaded<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  if (query.isPending) return <Loading />
  return (
    <>
      {query.isError && <Failure error={query.error} retry={() => void query.refetch()} />}
      {query.data !== undefined && children(query.data)}
    </>
  )
}
