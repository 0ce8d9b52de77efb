import { Button, Checkbox, Group, NativeSelect, Stack, TagsInput, Text, TextInput } from '@mantine/core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, data } from '../api/client'
import { type Role, roles, type User, useMe } from '../app/session'
import type { Language } from '../i18n/dictionary'
import { useText } from '../i18n/text'
import { Dialog } from '../kit/dialog'
import { useNotify } from '../kit/notify'
import { Password } from '../kit/password'
import { languages } from '../kit/preferences'
import { Failure } from '../kit/problem'
import { checkLogin, checkPassword, checkTargets } from '../lib/check'
import { safe } from '../lib/safe'

/** Makes a user, or changes one. A change says which version it is of, so that nobody's is lost. */
export function UserForm({
  user,
  users,
  done,
  close,
}: {
  user?: User
  users: User[]
  done: () => void
  close: () => void
}) {
  const { t, language } = useText()
  const notify = useNotify()
  const me = useMe().user
  const phones = useQuery({
    queryKey: ['connections'],
    queryFn: () => data(api.GET('/api/v1/connections')),
  })
  const [login, setLogin] = useState(user?.login ?? '')
  const [name, setName] = useState(user?.name ?? '')
  const [role, setRole] = useState<Role>((user?.role as Role) ?? 'agent')
  const [teams, setTeams] = useState(user?.teams ?? [])
  const [targets, setTargets] = useState(user?.targets ?? [])
  const [disabled, setDisabled] = useState(user?.disabled ?? false)
  const [password, setPassword] = useState('')
  const [first, setFirst] = useState<Language>(language)
  const [tried, setTried] = useState(false)
  const wrong = {
    login: checkLogin(login),
    targets: checkTargets(targets),
    password: user ? undefined : checkPassword(password),
  }
  const save = useMutation({
    mutationFn: () => {
      const fields = { login: login.trim(), name: name.trim(), role, teams, targets, disabled }
      if (!user) return data(api.POST('/api/v1/users', { body: { ...fields, password, language: first } }))
      const { theme } = user
      return data(
        api.PUT('/api/v1/users/{id}', {
          params: { path: { id: user.id }, header: { 'If-Match': `"${user.version}"` } },
          body: { ...fields, language: user.language, theme: theme as 'light' | 'dark' | 'auto' },
        }),
      )
    },
    onSuccess: () => {
      notify(t('app.saved'))
      done()
      close()
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (Object.values(wrong).every((w) => w === undefined)) save.mutate()
  }
  const tell = (key: keyof typeof wrong) => {
    const w = tried ? wrong[key] : undefined
    return w && t(w)
  }
  return (
    <Dialog title={user ? t('users.editTitle', { name: safe(user.name) }) : t('users.add')} close={close}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <TextInput
            label={t('users.name')}
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            autoComplete="off"
            maxLength={64}
            data-autofocus
          />
          <TextInput
            label={t('users.login')}
            description={t('field.login')}
            value={login}
            onChange={(e) => setLogin(e.currentTarget.value)}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            maxLength={64}
            required
            error={tell('login')}
          />
          {!user && (
            <Password
              label={t('users.password')}
              description={t('field.password')}
              value={password}
              onChange={(e) => setPassword(e.currentTarget.value)}
              autoComplete="new-password"
              required
              error={tell('password')}
            />
          )}
          {!user && (
            <NativeSelect
              label={t('language.label')}
              data={languages}
              value={first}
              onChange={(e) => setFirst(e.currentTarget.value as Language)}
            />
          )}
          <NativeSelect
            label={t('users.role')}
            description={t(`role.${role}.text`)}
            value={role}
            onChange={(e) => setRole(e.currentTarget.value as Role)}
            disabled={user?.id === me.id}
            data={roles.map((r) => ({ value: r, label: t(`role.${r}`) }))}
          />
          <TagsInput
            label={t('users.targets')}
            description={t('users.targetsHint')}
            data={(phones.data?.phones ?? []).map((p) => p.target)}
            value={targets}
            onChange={setTargets}
            maxTags={32}
            error={tell('targets')}
          />
          <TagsInput
            label={t('users.teams')}
            description={t('users.teamsHint')}
            data={[...new Set(users.flatMap((u) => u.teams))].sort()}
            value={teams}
            onChange={setTeams}
            maxTags={32}
          />
          {user && user.id !== me.id && (
            <Checkbox
              label={t('users.disable')}
              checked={disabled}
              onChange={(e) => setDisabled(e.currentTarget.checked)}
            />
          )}
          {save.isError && <Failure error={save.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {t('app.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}

export function PasswordForm({ user, close }: { user: User; close: () => void }) {
  const { t } = useText()
  const notify = useNotify()
  const [password, setPassword] = useState('')
  const [tried, setTried] = useState(false)
  const wrong = checkPassword(password)
  const name = safe(user.name)
  const save = useMutation({
    mutationFn: () =>
      data(api.PUT('/api/v1/users/{id}/password', { params: { path: { id: user.id } }, body: { password } })),
    onSuccess: () => {
      notify(t('users.passwordSet', { name }))
      close()
    },
  })
  const submit = (e: FormEvent) => {
    e.preventDefault()
    setTried(true)
    if (!wrong) save.mutate()
  }
  return (
    <Dialog title={t('users.setPassword')} close={close}>
      <form onSubmit={submit} noValidate>
        <Stack>
          <Text>{t('users.setPasswordText', { name })}</Text>
          <Password
            label={t('users.newPassword')}
            description={t('field.password')}
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
            autoComplete="new-password"
            required
            data-autofocus
            error={tried && wrong && t(wrong)}
          />
          {save.isError && <Failure error={save.error} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('app.cancel')}
            </Button>
            <Button type="submit" loading={save.isPending}>
              {t('users.setPassword')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Dialog>
  )
}
