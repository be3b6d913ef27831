/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences held against passages: labelled pairs, English and Chinese. Of each six, three are said by the passage and
 * three are not: a number changed, a negation turned, a name changed or something else. */
#include <string.h>

#include "ing-citations.h"

typedef struct
{
  const char *passage;
  const char *said[3];
  const char *number, *negation, *name;
} Item;

static const Item items[] = {
  { "The urgency field defaults to medium. Uploads migrate after 2, 5 or 10 days. Packages with critical bugs do not "
    "migrate to testing.",
    { "Uploads migrate after 2, 5 or 10 days.", "The default urgency is medium.",
      "A package with critical bugs does not migrate to testing." },
    "Uploads migrate after 3, 6 or 10 days.", "Packages with critical bugs migrate to testing.",
    "Packages with critical bugs do not migrate to Fedora." },
  { "The pump delivers 40 litres a minute at 3 bar. It was built by Grundmann in 1987. It must never run dry.",
    { "The pump was built by Grundmann in 1987.", "At 3 bar the pump delivers 40 litres a minute.",
      "The pump must never run dry." },
    "The pump was built by Grundmann in 1978.", "The pump must run dry.", "The pump was built by Siemens in 1987." },
  { "Annual rent is 12,400 euros, payable to Helvetia Estates before 1 March. Pets are not allowed in the flat.",
    { "The annual rent is 12400 euros.", "Pets are not allowed in the flat.",
      "The rent is payable to Helvetia Estates before 1 March." },
    "The annual rent is 14200 euros.", "Pets are allowed in the flat.",
    "The rent is payable to Alpina Estates before 1 March." },
  { "Cover the beds with fleece below 3 degrees. Tomatoes cannot stand frost. Carrots are sown in April by hand.",
    { "Beds are covered with fleece below 3 degrees.", "Tomatoes cannot stand frost.", "Carrots are sown by hand in April." },
    "Beds are covered with fleece below 8 degrees.", "Tomatoes stand frost.", "Carrots are sown by hand in October." },
  { "The committee met in Geneva on 14 May 2019 with 23 members. It did not approve the budget of Doctor Keller.",
    { "The committee met in Geneva with 23 members.", "The committee did not approve the budget.",
      "On 14 May 2019 the committee met in Geneva." },
    "The committee met in Geneva with 32 members.", "The committee did approve the budget of Doctor Keller.",
    "The committee met in Vienna with 23 members." },
  { "Set the option to 512 to limit memory. The daemon reads the file at start and does not watch it for changes. "
    "Samba shares need a password.",
    { "The option set to 512 limits memory.", "The daemon reads the file at start.",
      "The daemon does not watch the file for changes." },
    "The option set to 256 limits memory.", "The daemon watches the file for changes.",
    "The daemon reads the Kerberos file at start." },
  { "每个月给番茄施一次有机肥料，用量为30克。冬天不要施肥。种子来自云南。",
    { "番茄每个月施一次有机肥料。", "冬天不要施肥。", "有机肥料的用量为30克。" },
    "有机肥料的用量为50克。", "冬天要施肥。", "今天股票市场大幅上涨。" },
  { "本合同自2021年3月1日起生效，期限为24个月。乙方不得转租房屋。押金由甲方保管。",
    { "本合同自2021年3月1日起生效。", "乙方不得转租房屋。", "押金由甲方保管。" },
    "合同期限为36个月。", "本合同不自2021年3月1日起生效。", "火车从上海开往北京。" },
  { "该服务默认监听8080端口，由 systemd 启动。配置文件修改后服务不会自动重新载入。",
    { "服务默认监听8080端口。", "该服务由 systemd 启动。", "配置文件修改后服务不会自动重新载入。" },
    "服务默认监听9090端口。", "配置文件修改后服务会自动重新载入。", "该服务由 Docker 启动。" },
  { "会议于5月14日在苏州举行，共有120名代表参加。代表们没有通过预算方案。",
    { "会议在苏州举行。", "共有120名代表参加会议。", "代表们没有通过预算方案。" },
    "共有210名代表参加会议。", "代表们通过了预算方案。", "猫喜欢在阳光下睡觉。" },
  { "The backup runs at 02:30 and keeps 14 copies. It is never sent over an unencrypted link. Restic does the work.",
    { "The backup keeps 14 copies.", "It runs at 02:30 each night, the backup.",
      "The backup is never sent over an unencrypted link." },
    "The backup keeps 41 copies.", "The backup is sent over an unencrypted link.", "The work is done by Borg." },
  { "A partition of 512 MB is enough for the boot loader. Drives above 2 TB need a GPT table. MBR cannot address them.",
    { "For the boot loader a partition of 512 MB is enough.", "Drives above 2 TB need a GPT table.",
      "MBR cannot address drives above 2 TB." },
    "For the boot loader a partition of 256 MB is enough.", "MBR can address drives above 2 TB.",
    "Drives above 2 TB need an Apple table." },
  { "Trains leave Zurich every 30 minutes and reach Chur after 74 minutes. Bicycles are not carried before 9 o'clock.",
    { "Trains from Zurich reach Chur after 74 minutes.", "Trains leave Zurich every 30 minutes.",
      "Bicycles are not carried before 9 o'clock." },
    "Trains from Zurich reach Chur after 47 minutes.", "Bicycles are carried before 9 o'clock.",
    "Trains from Zurich reach Lugano after 74 minutes." },
  { "Dissolve 250 g of sugar in 1.5 litres of water. Don't let the syrup boil. Lemons from Sorrento are the best for it.",
    { "Dissolve 250 g of sugar in 1.5 litres of water.", "The syrup must not boil.",
      "The best lemons for it are from Sorrento." },
    "Dissolve 250 g of sugar in 2.5 litres of water.", "Let the syrup boil.", "The best lemons for it are from Menton." },
  { "Members pay 60 euros a year; students pay 25. Nobody without a card enters the archive. Ms Okafor keeps the keys.",
    { "Members pay 60 euros a year.", "Students pay 25 euros.", "The keys are kept by Ms Okafor." },
    "Members pay 80 euros a year.", "Members do not pay 60 euros a year.", "The keys are kept by Ms Lindqvist." },
  { "内存至少需要8GB，硬盘需要256GB。安装过程中不得断电。驱动程序由英特尔提供。",
    { "内存至少需要8GB。", "硬盘需要256GB。", "安装过程中不得断电。" },
    "内存至少需要16GB。", "安装过程中可以断电。", "月亮围绕地球旋转。" },
  { "图书馆每天9点开门，每人最多借5本书。食物禁止带入阅览室。",
    { "每人最多借5本书。", "图书馆每天9点开门。", "食物禁止带入阅览室。" },
    "每人最多借7本书。", "食物带入阅览室。", "鲸鱼生活在深海之中。" },
  { "退货须在14天内提出，运费由买方承担。已拆封的软件不予退货。",
    { "退货须在14天内提出。", "退货的运费由买方承担。", "已拆封的软件不予退货。" },
    "退货须在30天内提出。", "运费不由买方承担。", "明天北方将有大雪。" },
  { "水泵的功率为750瓦，由 Grundfos 制造。没有水时不能启动水泵。",
    { "水泵的功率为750瓦。", "水泵由 Grundfos 制造。", "没有水时不能启动水泵。" },
    "水泵的功率为570瓦。", "没有水时能启动水泵，可以启动。", "水泵由 Siemens 制造。" },
  { "年会于3月18日在杭州召开，到会会员86人。章程修改案未获通过。",
    { "年会在杭州召开。", "到会会员86人。", "章程修改案未获通过。" },
    "到会会员68人。", "章程修改案获得通过。", "她每天早晨喝一杯咖啡。" },
};

static void
test_pairs (void)
{
  guint right = 0, shown = 0, said = 0, numbers = 0;
  for (guint i = 0; i < G_N_ELEMENTS (items); i++)
    {
      const Item *item = &items[i];
      for (guint j = 0; j < 6; j++)
        {
          const char *sentence = j < 3 ? item->said[j] : j == 3 ? item->number : j == 4 ? item->negation : item->name;
          gboolean supported = ing_citations_supports (sentence, item->passage);
          if (supported != (j < 3))
            g_test_message ("item %u, sentence %u: taken for %s", i, j, supported ? "said" : "not said");
          said += j < 3;
          right += j < 3 && supported;
          shown += supported;
          numbers += j == 3 && !supported;
        }
    }
  double precision = shown > 0 ? (double) right / shown : 0, recall = (double) right / said;
  g_test_message ("precision %.3f, recall %.3f, changed numbers caught %u of %u", precision, recall, numbers,
                  (guint) G_N_ELEMENTS (items));
  g_assert_cmpfloat (precision, >=, 0.90);
  g_assert_cmpfloat (recall, >=, 0.80);
  g_assert_cmpuint (numbers * 100, >=, 95 * G_N_ELEMENTS (items));
}

/* Marks limit where support is looked for; one that points nowhere supports nothing. */
static void
test_marks (void)
{
  IngPassage rent = { .text = (char *) "The rent is 900 euros a month." };
  IngPassage pets = { .text = (char *) "Pets are not allowed in the flat." };
  g_autoptr (GPtrArray) passages = g_ptr_array_new ();
  g_ptr_array_add (passages, &rent);
  g_ptr_array_add (passages, &pets);
  g_autoptr (GArray) claims = ing_citations_check (
      "The rent is 900 euros [1]. Pets are not allowed. [2] The rent is 900 euros a month [2]. "
      "Pets are not allowed [99999999999999999999].", passages);
  g_assert_cmpuint (claims->len, ==, 4);
  const IngClaim *c = (const IngClaim *) (gpointer) claims->data;
  g_assert_true (c[0].supported && c[0].passage == 0);
  g_assert_true (c[1].supported && c[1].passage == 1);
  g_assert_false (c[2].supported);
  g_autoptr (GArray) none = ing_citations_check ("", passages);
  g_assert_cmpuint (none->len, ==, 0);
}

/* Checked marks behind sentences; code, tables, headings, links and spaces stay as they are. */
static void
test_annotate (void)
{
  static const char *const texts[][2] = {
    { "The rent is 900 euros [1]. The rent is 700 euros.\n\nPets are not allowed.\n",
      "The rent is 900 euros. [\\[1\\]](citation:1) The rent is 700 euros. [\\[?\\]](citation:0)\n\nPets are not allowed. "
      "[\\[2\\]](citation:2)\n" },
    { "# The rent is 900 euros\n| The rent | 900 euros |\n", NULL },
    { "```\nThe rent is 900 euros.\n```\nYes.\n", NULL },
    { "- Pets are not allowed [2]\n- Yes [1](https://a.b)\n",
      "- Pets are not allowed [\\[2\\]](citation:2)\n- Yes [1](https://a.b) "
      "[\\[?\\]](citation:0)\n" },
    { "", NULL },
    { "```\nopen and never closed: The rent is 900 euros.", NULL },
  };
  IngPassage rent = { .text = (char *) "The rent is 900 euros a month." };
  IngPassage pets = { .text = (char *) "Pets are not allowed in the flat." };
  g_autoptr (GPtrArray) passages = g_ptr_array_new ();
  g_ptr_array_add (passages, &rent);
  g_ptr_array_add (passages, &pets);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autofree char *out = ing_citations_annotate (texts[i][0], passages);
      g_assert_cmpstr (out, ==, texts[i][1] != NULL ? texts[i][1] : texts[i][0]);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/citations/pairs", test_pairs);
  g_test_add_func ("/citations/marks", test_marks);
  g_test_add_func ("/citations/annotate", test_annotate);
  return g_test_run ();
}
