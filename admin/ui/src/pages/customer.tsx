import { Badge, Card, Group, SimpleGrid, Stack, Text } from '@mantine/core'
import IconArrowLeft from '@tabler/icons-react/dist/esm/icons/IconArrowLeft.mjs'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { useState } from 'react'
import { type CustomerDetail, type CustomerLine, customer as fetchCustomer } from '../api/desk'
import { isProblem } from '../api/problem'
import { covers, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { customerName } from '../kit/calls'
import { Counters, Standing, Verdict } from '../kit/decision'
import { LinkButton } from '../kit/links'
import { Page, Section } from '../kit/page'
import { Empty, Loaded } from '../kit/states'
import { ahead } from '../lib/decision'
import { phone } from '../lib/format'
import { safe } from '../lib/safe'
import { Composer } from './composer'
import { CallMenu } from './customermenu'
import { CustomerTimeline } from './customertimeline'
import { Guard, OverrideButton } from './guard'

export function CustomerPage() {
  const { t } = useText()
  const { id } = useParams({ from: '/panel/customers/$id' })
  const detail = useQuery({
    queryKey: ['customer', id],
    queryFn: () => fetchCustomer(id),
    refetchInterval: 15_000, // permissions change by what customers do
  })
  const back = (
    <LinkButton to="/calls" search={{}} variant="default" leftSection={<IconArrowLeft size={16} aria-hidden />}>
      {t('call.back')}
    </LinkButton>
  )
  if (isProblem(detail.error, 'not_found') || isProblem(detail.error, 'invalid')) {
    return (
      <Page title={t('customer.gone')} actions={back}>
        <Empty title={t('customer.gone')} text={t('customer.goneText')} />
      </Page>
    )
  }
  const title = detail.data ? customerName(t, detail.data.customer) : t('customer.title')
  return (
    <Page title={title} actions={back}>
      <Loaded query={detail}>{(d) => <Conversation id={id} d={d} />}</Loaded>
    </Page>
  )
}

function Conversation({ id, d }: { id: string; d: CustomerDetail }) {
  const { t } = useText()
  const queries = useQueryClient()
  const refresh = () => {
    void queries.invalidateQueries({ queryKey: ['customer', id] })
    void queries.invalidateQueries({ queryKey: ['timeline', id] })
  }
  const lines = d.lines
  return (
    <Stack gap="xl">
      <Header id={id} d={d} refresh={refresh} />
      <Section title={t('customer.lines')}>
        {lines.length === 0 ? (
          <Empty title={t('customer.noLines')} text={t('customer.noLinesText')} />
        ) : (
          <SimpleGrid cols={{ base: 1, lg: Math.min(2, lines.length) }}>
            {lines.map((l) => (
              <LineCard key={l.line} id={id} line={l} refresh={refresh} />
            ))}
          </SimpleGrid>
        )}
      </Section>
      <Section title={t('customer.timeline')}>
        <CustomerTimeline id={id} />
        {lines.length > 0 && <Composer id={id} lines={lines} refresh={refresh} />}
      </Section>
    </Stack>
  )
}

function Header({ id, d, refresh }: { id: string; d: CustomerDetail; refresh: () => void }) {
  const { t } = useText()
  const { user } = useMe()
  const c = d.customer
  const facts = [phone(c.phone), safe(c.username), c.alias ? t('customer.dial', { alias: safe(c.alias) }) : '']
  return (
    <Group justify="space-between">
      <Group gap="xs">
        <Text className="name">{facts.filter(Boolean).join(' · ') || t('customer.noNumber')}</Text>
        {blocked(d) && (
          <Badge color="red" variant="light" tt="none" autoContrast>
            {t('customer.blocked')}
          </Badge>
        )}
      </Group>
      {covers(user.role, 'supervisor') && <Guard id={id} blocked={blocked(d)} done={refresh} />}
    </Group>
  )
}

function blocked(d: CustomerDetail): boolean {
  return d.lines.some((l) => l.call.rule === 'customer.blocked' || l.ask.rule === 'customer.blocked')
}

/** One line's permission, what may be done over it now, and the menu that does it. */
function LineCard({ id, line, refresh }: { id: string; line: CustomerLine; refresh: () => void }) {
  const { t, f } = useText()
  const { user } = useMe()
  const [open, setOpen] = useState(false)
  const window = ahead(line.window_until, Date.now())
  return (
    <Card withBorder component="article" aria-label={safe(line.name) || line.line}>
      <Stack gap="sm">
        <Group justify="space-between">
          <Text fw={600} className="name">
            {safe(line.name) || line.line}
          </Text>
          <CallMenu id={id} line={line} done={refresh} />
        </Group>
        <Standing permission={line.permission} />
        <Verdict name={t('customer.call')} decision={line.call} />
        <Verdict name={t('customer.ask')} decision={line.ask} />
        <Verdict name={t('customer.button')} decision={line.button} />
        <Text size="sm" c="dimmed">
          {window ? t('customer.window', { at: f.dateTime(line.window_until) }) : t('customer.noWindow')}
        </Text>
        <details open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
          <summary>{t('customer.limits')}</summary>
          <Counters decision={line.call} />
          {covers(user.role, 'supervisor') && <OverrideButton id={id} line={line.line} done={refresh} />}
        </details>
      </Stack>
    </Card>
  )
}
