"""Pascal VOC's folders: an XML file for each image, as LabelImg, CVAT, Roboflow and VOC itself write them."""
