/* SPDX-License-Identifier: Apache-2.0 */
/* The text that quality is measured over when the person gives none: written for this program, and nothing of it stands in
 * the text that importance is gathered over, which would flatter the result. */
#include "eng-measure.h"

static const char text[]
    = "The lighthouse keeper wrote down the weather four times a day, even when there was nothing to write down. After forty "
      "years the notebooks filled a wardrobe. A student from the university came on the ferry to copy the numbers, and when "
      "she had typed in the last of them she drew a line: the sea was one degree warmer than it had been when he began. "
      "\"I could have told you that,\" said the old man. \"But you would not have believed me without the notebooks.\"\n\n"
      "A bicycle stays upright because it steers into the fall. When it leans to the left, the front wheel turns to the left, "
      "and the wheels move back under the weight. Nobody has to think about it; a bicycle without a rider does the same if it "
      "is pushed fast enough. If the front wheel is locked, even an experienced rider falls over within a few metres. "
      "How does a child learn to ride, then? By getting used to doing less.\n\n"
      "Minutes of the meeting of 3 September. Present: five members. The roof of the boathouse will be repaired before winter; "
      "two offers were compared, 4,850 and 5,200 euros, and the cheaper one was accepted. The treasurer reminded everybody that "
      "fees are due by the end of the month. Next meeting: Thursday, 8 October, at half past seven.\n\n"
      "老街的尽头有一家修钟表的小店，店主姓陈，今年七十三岁。店里挂着几十只钟，却没有两只走得一样快。有人问他哪一只是准的，他笑着说：“"
      "准的那一只在我的口袋里，其余的都在等主人。”每天下午三点，他会泡一壶绿茶，坐在门口看来来往往的行人。去年冬天，一个小姑娘抱着一只停了很久的"
      "闹钟走进来，说那是外婆留下的。陈师傅修了整整一个星期，没有收钱。\n\n"
      "通知：因供水管道检修，本小区将于本周六上午八点至下午五点停水，请各位居民提前做好储水准备。如有疑问，请拨打物业服务电话。给您带来不便，"
      "敬请谅解。\n\n"
      "问：为什么冬天呼出的气看起来是白色的？答：人呼出的空气温暖而潮湿，遇到冷空气后，其中的水蒸气凝结成许多细小的水滴，光线被它们散射，"
      "所以看上去像白雾。一个水池有两根进水管，单开甲管六小时注满，单开乙管三小时注满，两管同时打开，两小时可以注满。\n\n"
      "颱風過後，漁港恢復了平靜。阿伯蹲在碼頭邊補網，說這兩天風浪還大，要等到後天才能出海。\n\n"
      "Auf dem Dachboden fand sie eine Kiste mit Briefen, die alle mit derselben blauen Tinte geschrieben waren. Der Absender "
      "beschrieb darin ausführlich, wie man Brücken baut, und nur im letzten Satz jedes Briefes, dass er sie vermisse. Die "
      "Züge fahren wegen der Bauarbeiten bis zum 12. Mai nur stündlich; bitte beachten Sie die Aushänge am Bahnsteig.\n\n"
      "Le fleuve avait débordé dans la nuit, et au matin les canards nageaient entre les tables du café. Le patron, assis sur "
      "le comptoir, servait quand même. Pour calculer l'aire d'un disque, on multiplie le carré de son rayon par pi.\n\n"
      "La abuela guardaba las semillas en frascos de cristal con el año escrito a mano. Decía que una huerta se empieza siempre "
      "el año anterior. El museo abre de martes a domingo, de diez a seis; la entrada es gratuita para los menores de doce años.\n\n"
      "Старый трамвай звенел на повороте, и собака под лавкой каждый раз поднимала голову. В пятницу магазин работает до шести.\n\n"
      "港の市場は朝の四時に始まる。魚の名前を全部覚えるまでに三年かかったと、彼は笑って言った。\n\n"
      "도서관 앞 은행나무가 노랗게 물들면 학생들은 사진을 찍느라 수업에 늦는다.\n\n"
      "```python\n"
      "from collections import Counter\n\n"
      "def most_common_words(path, n=10):\n"
      "    with open(path, encoding=\"utf-8\") as f:\n"
      "        words = f.read().lower().split()\n"
      "    return Counter(words).most_common(n)\n"
      "```\n\n"
      "```sql\n"
      "SELECT city, COUNT(*) AS n, AVG(price) FROM orders WHERE year = 2024 GROUP BY city HAVING n > 10 ORDER BY n DESC;\n"
      "```\n\n"
      "User: My tomato plants have yellow leaves at the bottom. Is that bad? Assistant: Usually not. The lowest leaves are the "
      "oldest and get the least light, so the plant gives them up first. If the yellow climbs upwards quickly, look at the water: "
      "soil that never dries out is the most common cause, a lack of nitrogen the second. Remove the yellow leaves, let the "
      "upper centimetres of soil dry between two waterings, and feed the plants once. User: Thanks! And when do I pick the "
      "fruit? Assistant: When they are evenly red and give a little under the thumb. They taste best on the day they are "
      "picked, and they should never see the inside of a fridge.\n";

const char *
eng_measure_get_text (size_t *n_bytes)
{
  *n_bytes = sizeof text - 1;
  return text;
}
