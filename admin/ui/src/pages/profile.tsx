import { Badge, Button, Group, Paper, SimpleGrid, Stack, Text } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, data, type Schemas } from '../api/client'
import { meQuery, useMe } from '../app/session'
import { useText } from '../i18n/text'
import { useNotify } from '../kit/notify'
import { Page, Section } from '../kit/page'
import { Password } from '../kit/password'
import { LanguageSelect, ThemeSelect } from '../kit/preferences'
import { Failure } from '../kit/problem'
import { Loaded } from '../kit/states'
import { checkPassword } from '../lib/check'
import { safe } from '../lib/safe'
import { Factor } from './factor'

export function ProfilePage() {
  const { t } = useText()
  return (
    <Page title={t('profile.title')}>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl" verticalSpacing="xl">
        <Who />
        <Preferences />
        <PasswordSection />
        <Factor />
      </SimpleGrid>
      <Sessions />
    </Page>
  )
}

function Who() {
  const { t, coded } = useText()
  const { user } = useMe()
  return (
    <Section title={t('profile.who')}>
      <dl className="facts">
        <dt>{t('users.name')}</dt>
        <dd className="name">{safe(user.name)}</dd>
        <dt>{t('users.login')}</dt>
        <dd>{user.login}</dd>
        <dt>{t('users.role')}</dt>
        <dd>
          {coded('role', user.role)}: {coded('role', `${user.role}.text`)}
        </dd>
        <dt>{t('users.targets')}</dt>
        <dd>{user.targets.join(', ') || t('app.none')}</dd>
        <dt>{t('users.teams')}</dt>
        <dd className="name">{user.teams.map(safe).join(', ') || t('app.none')}</dd>
      </dl>
    </Section>
  )
}

function Preferences() {
  const { t } = useText()
  const { user } = useMe()
  const queries = useQueryClient()
  const prefer = useMutation({
    mutationFn: (body: Schemas['PreferencesBody']) => data(api.PATCH('/api/v1/me', { body })),
    onSuccess: (changed) => queries.setQueryData(meQuery.queryKey, (me) => me && { ...me, user: changed }),
  })
  return (
    <Section title={t('profile.preferences')}>
      <Stack maw={320} key={user.id}>
        <LanguageSelect chosen={(language) => prefer.mutate({ language })} />
        <ThemeSelect chosen={(theme) => prefer.mutate({ theme })} />
        {prefer.isError && <Failure error={prefer.error} />}
      </Stack>
    </Section>
  )
}

function PasswordSection() {
  const { t } = useText()
  const notify = useNotify()
  const { user } = useMe()
  const queries = useQueryClient()
  const [old, setOld] = useState('')
  const [next, setNext] = useState('')
  const [again, setAgain] = useState('')
  const [tried, setTried] = useState(false)
  const weak = checkPassword(next)
  const change = useMutation({
    mutationFn: () => data(api.PUT('/api/v1/me/password', { body: { old, new: next } })),
    onSuccess: () => {
      notify(t('profile.changed'))
      setOld('')
      setNext('')
      setAgain('')
      setTried(false)
      void queries.invalidateQueries({ queryKey: ['sessions'] })
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (old !== '' && !weak && next === again) change.mutate()
  }
  return (
    <Section title={t('profile.password')}>
      <form onSubmit={submit} noValidate>
        <Stack maw={320}>
          <input type="text" autoComplete="username" value={user.login} readOnly hidden />
          <Password
            label={t('profile.old')}
            value={old}
            onChange={(e) => setOld(e.currentTarget.value)}
            autoComplete="current-password"
            required
            error={tried && old === '' && t('field.required')}
          />
          <Password
            label={t('profile.new')}
            description={t('field.password')}
            value={next}
            onChange={(e) => setNext(e.currentTarget.value)}
            autoComplete="new-password"
            required
            error={tried && weak && t(weak)}
          />
          <Password
            label={t('profile.again')}
            value={again}
            onChange={(e) => setAgain(e.currentTarget.value)}
            autoComplete="new-password"
            required
            error={tried && next !== again && t('field.mismatch')}
          />
          {change.isError && <Failure error={change.error} />}
          <Group>
            <Button type="submit" loading={change.isPending}>
              {t('profile.change')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  )
}

function Sessions() {
  const { t, f } = useText()
  const notify = useNotify()
  const queries = useQueryClient()
  const sessions = useQuery({
    queryKey: ['sessions'],
    queryFn: async () => (await data(api.GET('/api/v1/sessions'))).sessions,
    staleTime: 0,
  })
  const end = useMutation({
    mutationFn: (id: string | 'others') =>
      id === 'others'
        ? data(api.DELETE('/api/v1/sessions'))
        : data(api.DELETE('/api/v1/sessions/{id}', { params: { path: { id } } })),
    onSuccess: () => notify(t('profile.ended')),
    onSettled: () => queries.invalidateQueries({ queryKey: ['sessions'] }),
  })
  const others = sessions.data?.some((s) => !s.current)
  return (
    <Section
      title={t('profile.sessions')}
      actions={
        others && (
          <Button size="xs" variant="default" loading={end.isPending} onClick={() => end.mutate('others')}>
            {t('profile.endOthers')}
          </Button>
        )
      }
    >
      {end.isError && <Failure error={end.error} />}
      <Loaded query={sessions}>
        {(list) => (
          <Stack gap="xs" component="ul" className="cards">
            {list.map((s) => (
              <Paper key={s.id} component="li" withBorder p="sm">
                <Group justify="space-between">
                  <div>
                    <Group gap="xs">
                      <Text fw={500}>{safe(s.address)}</Text>
                      {s.current && (
                        <Badge variant="light" tt="none">
                          {t('profile.thisSession')}
                        </Badge>
                      )}
                    </Group>
                    <Text size="sm" c="dimmed" className="name">
                      {safe(s.browser)}
                    </Text>
                    <Text size="sm" c="dimmed">
                      {t('profile.since', { at: f.dateTime(s.began), used: f.dateTime(s.used) })}
                    </Text>
                  </div>
                  {!s.current && (
                    <Button
                      size="xs"
                      color="red"
                      variant="light"
                      aria-label={t('profile.endOf', { address: safe(s.address) })}
                      onClick={() => end.mutate(s.id)}
                    >
                      {t('profile.end')}
                    </Button>
                  )}
                </Group>
              </Paper>
            ))}
          </Stack>
        )}
      </Loaded>
    </Section>
  )
}
