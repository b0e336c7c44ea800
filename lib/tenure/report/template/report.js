(() => {
  const say = document.body.dataset, lang = document.documentElement.lang;
  const point = (1.5).toLocaleString(lang)[1];
  const words = cell => [...cell.childNodes].filter(n => n.nodeName != 'SMALL').map(n => n.textContent).join('').trim();
  const small = cell => cell.querySelector('small')?.textContent ?? '';
  const number = cell => parseFloat(cell.dataset.v ?? words(cell).replace('−', '-')
    .replace(new RegExp('[^\\d\\-\\' + point + ']', 'g'), '').replace(point, '.'));
  for (const table of document.querySelectorAll('.table table')) {
    const body = table.tBodies[0], heads = [...(table.tHead?.rows[0]?.cells ?? [])];
    if (!body || body.rows.length < 2) continue;
    const rows = () => [...body.rows];
    heads.forEach((head, k) => {
      const button = document.createElement('button');
      button.append(...head.childNodes);
      head.append(button);
      button.onclick = () => {
        const down = head.ariaSort ? head.ariaSort == 'descending' : !head.matches('.numeric'), sign = down ? 1 : -1;
        const measured = rows().some(row => !isNaN(number(row.cells[k])));
        const order = (a, b) => {
          if (!head.matches('.numeric') && !(measured && a.cells[k].dataset.v))
            return sign * words(a.cells[k]).localeCompare(words(b.cells[k]), lang, {numeric: true});
          const [x, y] = [number(a.cells[k]), number(b.cells[k])];
          return isNaN(x) - isNaN(y) || sign * (x - y);
        };
        heads.forEach(each => each.ariaSort = null);
        head.ariaSort = down ? 'ascending' : 'descending';
        body.append(...rows().sort(order));
      };
    });
    const parts = [...table.rows].map(row => [...row.cells].flatMap((cell, k) =>
      rows().some(one => one.cells[k] && small(one.cells[k])) ? [words(cell), small(cell)] : [words(cell)]));
    const text = (mark, quote) => parts.map(row => row.map(quote).join(mark)).join('\r\n');
    const tools = document.createElement('p');
    const tool = (label, act) => {
      const button = document.createElement('button');
      button.textContent = label;
      button.onclick = () => act(button);
      tools.append(button);
    };
    tools.className = 'tools';
    if (navigator.clipboard) tool(say.copy, async button => {
      await navigator.clipboard.writeText(text('\t', cell => cell));
      button.textContent = say.copied;
    });
    tool(say.download, () => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob(['\ufeff', text(',', cell => '"' + cell.replace(/"/g, '""') + '"')], {type: 'text/csv'}));
      link.download = (table.caption?.textContent || document.title).replace(/[^\p{L}\p{N}]+/gu, '-') + '.csv';
      link.click();
    });
    const box = table.closest('.table');
    (box.nextElementSibling?.matches('.more') ? box.nextElementSibling : box).after(tools);
  }
  for (const list of document.querySelectorAll('[popover]'))
    list.addEventListener('click', event => event.target.closest('a') && list.matches(':popover-open') && list.hidePopover());
})();
