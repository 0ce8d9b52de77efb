'use strict';
// Who the customer is: signing in, permission for the company, and its requests.

// A tab stays the same person when it is reloaded.
const remembered = JSON.parse(sessionStorage.getItem('person') || 'null');
$('name').value = remembered ? remembered.name : 'Customer ' + String.fromCharCode(65 + Math.floor(Math.random() * 26));
$('phone').value = remembered ? remembered.phone : '+62812' + Math.floor(10000000 + Math.random() * 89999999);
if (remembered) $('first-permission').value = remembered.permission;

$('signin-form').addEventListener('submit', async (e) => {
  e.preventDefault();
  showError('');
  const person = { name: $('name').value, phone: $('phone').value, permission: $('first-permission').value };
  $('phone').removeAttribute('aria-invalid');
  try {
    me = await post('register', person);
  } catch (err) {
    showError(err.message);
    if (/number/.test(err.message)) {
      $('phone').setAttribute('aria-invalid', 'true');
      $('phone').focus();
    }
    return;
  }
  sessionStorage.setItem('person', JSON.stringify(person));
  showMe(person.permission);
  idle('Ready when you are');
  listen();
});

function showMe(permission) {
  $('signin').hidden = true;
  $('phone-card').hidden = $('aside').hidden = false;
  document.querySelector('main').classList.add('signed-in');
  $('live').hidden = !me.live;
  $('me-name').textContent = me.name;
  $('dial').hidden = !me.phone;
  $('me-dial').textContent = '+' + me.phone;
  if (!me.phone) {
    $('me-dial-label').textContent = 'Your number is hidden. Call the company once: its phone shows a number of its own for you, and dialling that makes this page ring.';
  }
  for (const n of me.numbers) {
    const o = document.createElement('option');
    o.value = n.id;
    o.textContent = (n.name || 'The company') + ' · +' + n.number;
    $('number').append(o);
  }
  $('number-field').hidden = me.numbers.length < 2;
  showPermission(permission);
}

const permissionHints = {
  permanent: 'Its calls ring on this page.',
  temporary: 'Its calls ring on this page until seven days from now.',
  no_permission: 'Its calls to you are refused, and its phone is told why. You can still call.',
};

function showPermission(kind) {
  $('permission').value = kind;
  $('permission-hint').textContent = permissionHints[kind] || '';
}

$('copy').addEventListener('click', async () => {
  const range = document.createRange();
  range.selectNodeContents($('me-dial'));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  try {
    await navigator.clipboard.writeText($('me-dial').textContent);
    $('copy').textContent = 'Copied';
    setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500);
  } catch { /* it is selected: the keyboard can copy it */ }
});

for (const b of document.querySelectorAll('[data-attitude]')) {
  b.addEventListener('click', async () => {
    const box = $('request');
    try {
      const r = await post('reply', { message: box.dataset.message, number: box.dataset.number, attitude: b.dataset.attitude });
      showPermission(r.permission);
      box.hidden = true;
    } catch (err) {
      if (err.message !== goneText) box.hidden = true; // its buttons are dead
      showError(err.message);
    }
  });
}

$('write').addEventListener('submit', async (e) => {
  e.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  try {
    await post('text', { number: $('number').value, text });
    showMessage(text).className = 'mine';
    $('text').value = '';
  } catch (err) { showError(err.message); }
});

$('permission').addEventListener('change', async () => {
  const kind = $('permission').value;
  try {
    await post('permission', { permission: kind });
    showPermission(kind);
  } catch (err) { showError(err.message); }
});
