import { Alert, Paper, Progress, SimpleGrid, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { api, data, type Schemas } from '../api/client'
import { useText } from '../i18n/text'
import { Page } from '../kit/page'
import { Loaded } from '../kit/states'
import { span } from '../lib/format'
import { safe } from '../lib/safe'

export function SystemPage() {
  const { t } = useText()
  const system = useQuery({
    queryKey: ['system'],
    queryFn: () => data(api.GET('/api/v1/system')),
    refetchInterval: 5_000,
  })
  return (
    <Page title={t('system.title')}>
      <Loaded query={system}>{(s) => <Health s={s} />}</Loaded>
    </Page>
  )
}

const diskColors: Record<string, string> = { fine: 'leaf', low: 'yellow' }

function Health({ s }: { s: Schemas['SystemStatus'] }) {
  const { t, f, coded } = useText()
  const disk = diskColors[s.disk] ?? 'red'
  return (
    <>
      <Alert color={s.draining ? 'orange' : s.ready ? 'leaf' : 'red'} role="status">
        <Text fw={600}>{t(s.draining ? 'system.draining' : s.ready ? 'system.ready' : 'system.notReady')}</Text>
        {s.reason && <Text size="sm">{safe(s.reason)}</Text>}
      </Alert>
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
        <Tile
          name={t('system.calls')}
          value={t('system.callsOf', { n: f.number(s.calls), max: f.number(s.max_calls) })}
        >
          <Progress
            mt="xs"
            value={s.max_calls > 0 ? (100 * s.calls) / s.max_calls : 0}
            aria-label={t('system.calls')}
          />
        </Tile>
        <Tile name={t('system.disk')} value={coded('disk', s.disk)} color={disk}>
          <Text size="sm" c="dimmed">
            {t('system.free', { n: f.bytes(s.disk_free_bytes) })}
          </Text>
        </Tile>
        <Tile name={t('system.uptime')} value={t('system.span', span(s.uptime_seconds))}>
          <Text size="sm" c="dimmed">
            {t('system.started')} {f.dateTime(s.started)}
          </Text>
        </Tile>
        <Tile name={t('system.version')} value={s.version} />
        <Tile name={t('system.opus')} value={s.opus} />
      </SimpleGrid>
    </>
  )
}

function Tile({ name, value, color, children }: { name: string; value: string; color?: string; children?: ReactNode }) {
  return (
    <Paper withBorder p="md">
      <Text size="sm" c="dimmed">
        {name}
      </Text>
      <Text fw={600} size="lg" c={color && color !== 'leaf' ? `var(--mantine-color-${color}-text)` : undefined}>
        {value}
      </Text>
      {children}
    </Paper>
  )
}
