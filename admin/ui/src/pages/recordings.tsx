import { Badge, Group, Paper, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense } from 'react'
import { callRecordings, type Recording } from '../api/desk'
import { useText } from '../i18n/text'
import { Section } from '../kit/page'
import { Loaded } from '../kit/states'
import { duration } from '../lib/format'

const Player = lazy(async () => ({ default: (await import('../kit/player')).Player }))

/** The sound of a call: each recording with its state, and a player where there is something to play. */
export function Recordings({ call, running }: { call: string; running: boolean }) {
  const { t } = useText()
  const recordings = useQuery({
    queryKey: ['recordings', call],
    queryFn: () => callRecordings(call),
    // A recording is closed some moments after its call.
    refetchInterval: (q) => (running || q.state.data?.some((r) => r.state === 'open') ? 5_000 : false),
  })
  return (
    <Section title={t('recordings.title')}>
      <Loaded query={recordings}>
        {(list) =>
          list.length === 0 ? (
            <Text c="dimmed">{t(running ? 'recordings.noneYet' : 'recordings.none')}</Text>
          ) : (
            <Stack>
              {list.map((r) => (
                <One key={r.id} recording={r} />
              ))}
            </Stack>
          )
        }
      </Loaded>
    </Section>
  )
}

const colors: Record<string, string> = { open: 'blue', finished: 'leaf', lost: 'red', deleted: 'gray' }

function One({ recording: r }: { recording: Recording }) {
  const { t, f, coded } = useText()
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Group gap="xs">
          <Badge color={colors[r.state] ?? 'gray'} variant="light" tt="none" autoContrast>
            {coded('recordings.state', r.state)}
          </Badge>
          {r.held && (
            <Badge color="orange" variant="light" tt="none" autoContrast>
              {t('recordings.held')}
            </Badge>
          )}
          <Text size="sm" c="dimmed" className="tabular">
            {[
              f.dateTime(r.started_at),
              r.state === 'open' ? '' : duration(r.duration_seconds),
              r.bytes > 0 ? f.bytes(r.bytes) : '',
            ]
              .filter(Boolean)
              .join(' · ')}
          </Text>
        </Group>
        {r.held && <Text size="sm">{t('recordings.heldText')}</Text>}
        {r.state === 'finished' ? (
          <Suspense fallback={<Skeleton height={180} />}>
            <Player recording={r} />
          </Suspense>
        ) : (
          <Text size="sm">{coded('recordings.text', r.state)}</Text>
        )}
      </Stack>
    </Paper>
  )
}
