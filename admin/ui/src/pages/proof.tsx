import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { callDecision } from '../api/desk'
import { isProblem } from '../api/problem'
import { useText } from '../i18n/text'
import { Counters, Standing, Verdict } from '../kit/decision'
import { Section } from '../kit/page'
import { Failure } from '../kit/problem'
import { Loading } from '../kit/states'

/** The decision kept with a call and what it rested on; a call of which none is kept shows what is known without it. */
export function Proof({ call, without }: { call: string; without: ReactNode }) {
  const { t } = useText()
  const proof = useQuery({ queryKey: ['decision', call], queryFn: () => callDecision(call), staleTime: 60_000 })
  if (isProblem(proof.error, 'not_found')) return without
  return (
    <Section title={t('call.decision')}>
      {proof.isPending && <Loading />}
      {proof.isError && <Failure error={proof.error} retry={() => void proof.refetch()} />}
      {proof.data && (
        <Stack gap="xs">
          <Verdict decision={proof.data.decision} />
          <Text size="xs" c="dimmed">
            <code>{proof.data.decision.rule}</code>
          </Text>
          {proof.data.permission && (
            <div>
              <Text size="sm" fw={600}>
                {t('proof.permission')}
              </Text>
              <Standing permission={proof.data.permission} />
            </div>
          )}
          <Counters decision={proof.data.decision} />
          <Text size="xs" c="dimmed">
            {t(proof.data.replayed ? 'proof.replayed' : 'proof.stored')}
          </Text>
        </Stack>
      )}
    </Section>
  )
}
